// What an operator is told of a start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/registry/registry.h"
#include "server/config.h"

namespace seedlm::server {

backend::IndexOptions IndexOptionsOf(const ServerOptions& options);

// What is allowed, and perhaps not meant: plaintext for other machines without tokens; an index
// that cannot be kept. Looks at the machine, changes nothing.
std::vector<std::string> WarningsOf(const ServerOptions& options);

// One line: version, process, data directory, threads and memory for work, storage roots, S3, who
// may call. `threads`: of workers; `memory`: MemoryPlan::bytes; `tokens`: how many there are; `s3`:
// the endpoint, empty without keys.
struct StartFacts {
  int threads = 0;
  int64_t memory = 0;
  size_t tokens = 0;
  std::string s3;
};
std::string StartLine(const ServerOptions& options, const StartFacts& facts);

// An error of a start: for want of room (RESOURCE_EXHAUSTED) it says what can be removed by hand,
// as no server runs that would do it.
absl::Status ForStart(const absl::Status& status, const std::string& data_dir);

}  // namespace seedlm::server
