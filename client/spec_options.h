// The options that describe a compression, shared by compress, submit and estimate.
#pragma once

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
  int threads = 0;  // of the server in the process; 0: all
};

// Adds --bits, --fit, --scale, --include, --exclude, --backend, --threads. Options that exclude
// each other are a parse error. REQUIRES: `options` outlives `app`.
void AddSpecOptions(CLI::App& app, SpecOptions& options);

v1::CompressionSpec ToSpec(const SpecOptions& options);

}  // namespace seedlm::client
