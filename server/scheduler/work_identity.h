// What makes the work of an earlier attempt fit to go on with.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/jobs/job_work.h"
#include "server/scheduler/checkpoint_source.h"

namespace seedlm::server {

// Parts of a tensor that passes through, in which it is copied.
inline constexpr int64_t kCopyPieceBytes = int64_t{16} << 20;

// Errors: those of looking at the files of the source.
absl::StatusOr<WorkIdentity> IdentityOf(const PlannedJob& job, int64_t shard_weights);

// FAILED_PRECONDITION, reason SOURCE_CHANGED, naming the first file that is not what it was. OK if
// all are.
absl::Status CheckSameSource(const WorkIdentity& before, const WorkIdentity& now);

}  // namespace seedlm::server
