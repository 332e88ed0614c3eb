// What a job will cost, from its plan: pure but for the sizes of the files that are copied.
#pragma once

#include <cstdint>
#include <string>

#include "server/jobs/job.h"
#include "server/scheduler/checkpoint_source.h"
#include "server/scheduler/policy.h"

namespace seedlm::server {

// Who does the work.
struct WorkShape {
  std::string backend;                        // its name
  int workers = 1;                            // pieces at a time
  int64_t shard_weights = 0;                  // SchedulerOptions
  int64_t shards_together = kShardsTogether;  // SchedulerOptions
};

// All but the seconds.
//
// memory_bytes is an upper bound of what the process takes for the job, beside what it takes at
// rest and index_bytes:
//
//   5/4 (T + H + the larger of M and S)
//
//   T  tables of the profile                          backend::PlannedMemory
//   H  headers, names and plan of source and output
//   M  what is measured at a time: the rows, and their norms; for each tensor its own norms, and a
//      search through those that were kept
//   S  what is streamed at a time: shards as the source has them, their codes, and what the search
//      takes for their blocks
//
// and a quarter for what the allocator keeps. At a time: as many pieces as there are workers, each
// as large as the largest, or all of them if they are fewer.
Estimate EstimateOf(const PlannedJob& job, const WorkShape& shape);

}  // namespace seedlm::server
