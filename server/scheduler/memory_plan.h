// How the memory that work may take is shared out, so that its sum stays within one number.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace seedlm::server {

// What is asked for.
struct MemoryWanted {
  int64_t bytes = 0;  // for work: tables, the search's index, and what the workers hold
  int64_t index = 0;  // of them, for the index
  int workers = 1;
};

// What there is room for.
struct MemoryPlan {
  int64_t index = 0;
  int workers = 1;
  int64_t shards_together = 1;  // kShardsTogether at most
  int64_t bytes = 0;            // that all of it takes, at most

  // What is less than was wanted, for people: "8 of 64 threads, an index of 256 MiB of 1 GiB".
  // Empty: nothing is. Shards together are not told: they cost some speed (kIndexBatch of the CPU's
  // search).
  std::string Shortfall(const MemoryWanted& wanted) const;
};

// Fewer shards are searched together first, then the index is smaller, down to a quarter of the
// memory, then there are fewer workers. The bytes of a job do not depend on any of it.
// RESOURCE_EXHAUSTED: not even one worker without an index has room; the message says how much that
// takes.
absl::StatusOr<MemoryPlan> PlanMemory(const MemoryWanted& wanted);

// One worker, a shard at a time, no index.
MemoryPlan LeastPlan();

}  // namespace seedlm::server
