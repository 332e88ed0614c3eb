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

// WorkIdentity::source of a checkpoint that is open: path, size, time of modification and inode of
// each file. The inode tells a file of a user's from one that took its name with the same size and
// time, as all models have of tools that set a fixed one. Artifacts (`artifact`: its name, else
// empty) are only ever made by this server, whose uploads get a time of their own, and are copied
// with the data directory: of them it is the path below that directory, size and time.
// FAILED_PRECONDITION if a file of it is another one by now; those of looking at the files.
absl::StatusOr<std::string> SourceIdentityOf(const format::Checkpoint& checkpoint,
                                             const std::string& artifact);
// Of a recorded one the same, as earlier versions recorded path and inode of artifacts, too.
std::string IdentityWherever(const std::string& source, const std::string& artifact);

// Of two such: the first file that is not what it was, by its name; "": all are.
std::string ChangedFile(const std::string& before, const std::string& now);

// Errors: those of looking at the files of the source.
absl::StatusOr<WorkIdentity> IdentityOf(const PlannedJob& job, int64_t shard_weights);

// FAILED_PRECONDITION, reason SOURCE_CHANGED, naming the first file that is not what it was. OK if
// all are.
absl::Status CheckSameSource(const WorkIdentity& before, const WorkIdentity& now);

}  // namespace seedlm::server
