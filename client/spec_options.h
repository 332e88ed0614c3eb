// The options that describe a compression, shared by compress, submit and estimate, and those of
// the engine in the process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/command.h"
#include "seedlm/v1/codec.pb.h"

namespace seedlm::client {

struct SpecOptions {
  std::string bits = "4";
  std::string fit = "optimal";
  std::string scale;  // empty: fitted, or pow2 with nearest
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::string backend = "auto";
};

// Adds --bits, --fit, --scale, --include, --exclude, --backend. Options that exclude each other are
// a parse error. REQUIRES: `options` outlives the parsing.
void AddSpecOptions(Command& command, SpecOptions& options);

// A server has its own.
struct EngineOptions {
  std::optional<int> threads;           // 0: all
  std::optional<std::string> search;    // "auto"
  std::optional<int64_t> index_memory;  // bytes; 0: no index
};

// Adds --threads, --search, --index-memory. REQUIRES: `options` outlives the parsing.
void AddEngineOptions(Command& command, EngineOptions& options);

// The name of one of them that was given, or "".
std::string GivenOption(const EngineOptions& options);

v1::CompressionSpec ToSpec(const SpecOptions& options);

}  // namespace seedlm::client
