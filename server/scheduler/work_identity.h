// What makes the work of an earlier attempt fit to go on with.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/checkpoint.h"
#include "server/jobs/job_work.h"
#include "server/scheduler/checkpoint_source.h"

namespace seedlm::server {

// Parts of a tensor that passes through, in which it is copied.
inline constexpr int64_t kCopyPieceBytes = int64_t{16} << 20;

// WorkIdentity::source of a checkpoint that is open. FAILED_PRECONDITION if a file of it is another
// one by now; those of looking at the files.
absl::StatusOr<std::string> SourceIdentityOf(const format::Checkpoint& checkpoint);

// Of two such: the first file that is not what it was, by its name; "": all are.
std::string ChangedFile(const std::string& before, const std::string& now);

// Errors: those of looking at the files of the source.
absl::StatusOr<WorkIdentity> IdentityOf(const PlannedJob& job, int64_t shard_weights);

// FAILED_PRECONDITION, reason SOURCE_CHANGED, naming the first file that is not what it was. OK if
// all are.
absl::Status CheckSameSource(const WorkIdentity& before, const WorkIdentity& now);

}  // namespace seedlm::server
