// What a server is told at its start.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "spdlog/logger.h"

namespace seedlm::server {

// This build, "0.1.0".
extern const char* const kVersion;

struct ServerOptions {
  std::string data_dir;                    // created if need be; held by one server at a time
  std::vector<std::string> storage_roots;  // jobs read and write file:// below these only
  // "HOST:PORT" (port 0: any free one) or "unix:PATH". Empty: reachable by InProcessChannel alone.
  std::vector<std::string> listen;
  bool insecure = false;         // allows plaintext on addresses that other machines reach
  int threads = 0;               // of workers; 0: one for each hardware thread
  std::string backend = "auto";  // what jobs that ask for "auto" run on
  int64_t index_memory = int64_t{1} << 30;  // bytes for the lists of the cell index; 0: no index
  std::string index_cache;                  // directory that keeps them for later; empty: none
  int max_active_jobs = 1000;               // waiting and running, over that RESOURCE_EXHAUSTED
  // Shutdown cancels jobs that have not ended, instead of leaving them for the next start.
  bool cancel_on_shutdown = false;
  std::chrono::milliseconds watch_keep_alive{15'000};  // WatchJob says something at least so often
  std::shared_ptr<spdlog::logger> log;                 // null: the server is silent
};

// seedlm below XDG_CACHE_HOME, or below .cache in HOME; empty where neither is set.
std::string DefaultIndexCache();

// What is wrong with the options in themselves, without a look at the machine.
// Errors: INVALID_ARGUMENT naming the option.
absl::Status CheckOptions(const ServerOptions& options);

}  // namespace seedlm::server
