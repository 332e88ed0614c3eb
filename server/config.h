// What a server is told at its start. What an operator can set of it is in settings.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/auth/tls_files.h"
#include "server/errors/fault_point.h"
#include "server/storage/s3/options.h"
#include "server/storage/s3_transfer.h"

namespace spdlog {
class logger;
}

namespace seedlm::server {

// This build, "0.1.0".
extern const char* const kVersion;

struct ServerOptions {
  std::string data_dir;                    // created if need be; held by one server at a time
  std::vector<std::string> storage_roots;  // jobs read and write file:// below these only
  // "HOST:PORT" (port 0: any free one) or "unix:PATH". Empty: reachable by InProcessChannel alone.
  std::vector<std::string> listen;
  // TLS on all TCP addresses; a Unix socket has the permissions of its file instead.
  TlsFiles tls;
  std::chrono::milliseconds tls_refresh{60'000};     // the files are read again so often
  std::chrono::milliseconds health_interval{5'000};  // the data directory is looked at so often
  std::string tokens;  // file of who may call (auth/token_table.h); empty: everybody may do all
  int max_connections = 1000;  // open at a time; over that they are closed at once
  int max_owner_jobs = 0;      // of one owner, waiting and running; 0: as max_active_jobs
  // Streams at a time, of one owner and of all. A download whose client takes nothing holds 3 MiB,
  // an upload 4 MiB, a watch some 100 KiB.
  int max_owner_uploads = 64;
  int max_uploads = 256;
  int max_owner_downloads = 64;
  int max_downloads = 256;
  int max_owner_watches = 2000;
  int max_watches = 10'000;
  // Of one owner's artifacts, finished and arriving, and of what is staged for S3; 0: no limit.
  int64_t max_owner_bytes = 0;
  std::chrono::milliseconds upload_idle{60'000};  // an upload on which nothing comes is ended
  int64_t rpc_memory = int64_t{512} << 20;        // bytes that gRPC may hold of messages in flight
  bool insecure = false;         // allows plaintext on addresses that other machines reach
  int threads = 0;               // of workers; 0: one for each hardware thread
  std::string backend = "auto";  // what jobs that ask for "auto" run on
  // "auto": by what is expected to be fastest; "exhaustive": no index; "index": lists at once.
  std::string search = "auto";
  // Bytes for work: what the workers hold, and the index. 0: three quarters of what the machine
  // gives.
  int64_t memory = 0;
  int64_t index_memory = int64_t{1} << 30;   // bytes for the lists of the cell index; 0: no index
  std::string index_cache;                   // directory that keeps them for later; empty: none
  int max_active_jobs = 1000;                // waiting and running, over that RESOURCE_EXHAUSTED
  std::chrono::milliseconds retain_jobs{0};  // after their end; 0: for ever
  std::chrono::milliseconds retain_uploads{0};  // after their last byte; 0: for ever
  // Shutdown cancels jobs that have not ended, instead of leaving them for the next start.
  bool cancel_on_shutdown = false;
  s3::Options s3;  // where s3:// destinations are; without credentials there are none
  std::string s3_addressing = "auto";  // "path", "virtual-host": see s3::Addressing
  S3Transfer s3_transfer;
  std::chrono::milliseconds watch_keep_alive{15'000};  // WatchJob says something at least so often
  std::string metrics;  // "HOST:PORT" of the endpoint for Prometheus, plaintext; empty: none
  std::shared_ptr<spdlog::logger> log;  // null: the server is silent

  // For tests; no setting leads here.
  int64_t shard_weights = 0;                       // 0: kDefaultShardWeights
  std::chrono::milliseconds commit_interval{100};  // see SchedulerOptions
  std::chrono::milliseconds save_index_for{5000};  // at the end; longer than that is given up
  FaultPoint fault_point;

  // What the program does with a server; Server itself does not look at these.
  std::map<std::string, std::string> places;    // "FILE:LINE" of the settings that a file gave
  std::string log_format = "text";              // of `log`, or "json"
  std::string log_level = "info";               // of `log`
  std::chrono::milliseconds drain_grace{2000};  // of Shutdown after a signal
};

// seedlm below XDG_CACHE_HOME, or below .cache in HOME; empty where neither is set.
std::string DefaultIndexCache();

// What is wrong with the options in themselves, without a look at the machine: a value that its
// setting (settings.h) does not allow, options that do not go together.
// Errors: INVALID_ARGUMENT naming the option.
absl::Status CheckOptions(const ServerOptions& options);
// The same, and all that is wrong, in the order in which CheckOptions looks.
std::vector<absl::Status> FaultsOf(const ServerOptions& options);

}  // namespace seedlm::server
