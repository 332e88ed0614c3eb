// The options that describe a compression, shared by compress, submit and estimate.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "seedlm/v1/codec.pb.h"

namespace CLI {
class App;
}

namespace seedlm::client {

struct SpecOptions {
  std::string bits = "4";
  std::string fit = "optimal";
  std::string scale;  // empty: fitted, or pow2 with nearest
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::string backend = "auto";
  // Of the server in the process:
  int threads = 0;  // 0: all
  std::string search = "auto";
  int64_t index_memory = int64_t{1} << 30;  // bytes; 0: no index
};

// Adds --bits, --fit, --scale, --include, --exclude, --backend, --threads, --search,
// --index-memory. Options
// that exclude each other are a parse error. REQUIRES: `options` outlives `app`.
void AddSpecOptions(CLI::App& app, SpecOptions& options);

v1::CompressionSpec ToSpec(const SpecOptions& options);

// The first option that was changed of those that only a server in the process heeds: "--threads";
// "" if none was.
std::string OnlyInProcess(const SpecOptions& options);

}  // namespace seedlm::client
