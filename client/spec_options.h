// The options that describe a compression, shared by compress, submit and estimate, those of a job
// among the others of a server, and those of the engine in the process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/command.h"
#include "seedlm/v1/codec.pb.h"
#include "seedlm/v1/job.pb.h"

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

// What sets a job apart from the others on its server.
struct JobOptions {
  std::optional<int> priority;      // 0
  std::vector<std::string> labels;  // "KEY=VALUE", checked
};

// Adds --priority and --label. REQUIRES: `options` outlives the parsing.
void AddJobOptions(Command& command, JobOptions& options);

// Adds --label KEY=VALUE, repeatable, `description` in --help. A text without "=" and an empty key
// are parse errors. REQUIRES: `labels` outlives the parsing.
void AddLabelOption(Command& command, std::vector<std::string>& labels,
                    const std::string& description);

// The name of one of them that was given, or "".
std::string GivenOption(const JobOptions& options);

void SetJobOptions(const JobOptions& options, v1::Job& job);

// Of a key that is there twice the last counts. REQUIRES: they have passed AddLabelOption.
void AddLabels(const std::vector<std::string>& labels,
               google::protobuf::Map<std::string, std::string>& map);

// A server has its own.
struct EngineOptions {
  std::optional<int> threads;           // 0: all
  std::optional<std::string> search;    // "auto"
  std::optional<int64_t> memory;        // bytes; 0: three quarters of the machine's
  std::optional<int64_t> index_memory;  // bytes; 0: no index
};

// Adds --threads, --search, --memory, --index-memory. REQUIRES: `options` outlives the parsing.
void AddEngineOptions(Command& command, EngineOptions& options);

// The names of those that were given, as in "--threads, --search", or "".
std::string GivenOptions(const EngineOptions& options);

// A line on stderr about those that were given, of a command that asks a server.
void NoteServersOwn(const EngineOptions& options);

v1::CompressionSpec ToSpec(const SpecOptions& options);

}  // namespace seedlm::client
