// The final name of a job's output, before and after there is one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kernels/format/old_output.h"
#include "server/storage/s3/options.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

struct SinkTarget {
  // Absolute final name, resolved. Of an output at an S3 server: where it is staged, and no more.
  std::string path;
  bool directory = false;  // what the final name becomes
  bool overwrite = false;
  bool result = false;               // an artifact of the server's own: marked as a job's result
  std::string id;                    // of the job, part of the staging name
  std::optional<s3::Location> s3{};  // objects below this, see S3Publisher
  // Of a target that is pinned: the open parent, which `path` goes through, and the parent's name.
  std::shared_ptr<const UniqueFd> parent{};
  std::string parent_name{};

  // Whether it is built in the data directory, where only the server reads: a result, or what is
  // staged for S3.
  bool in_data_dir() const { return result || s3.has_value(); }
};

// Puts the target into the directory that has its parent's name now, whatever that name leads to
// later: `path` becomes one below /proc/self/fd. Errors, naming the parent: NOT_FOUND,
// PERMISSION_DENIED (OUTSIDE_STORAGE_ROOT: a link has come into the path since it was resolved).
absl::Status PinParent(SinkTarget& target);
// The name for people: as it was before it was pinned.
std::string NameOf(const SinkTarget& target);
// `status` with other words in its message: of two that begin at the same place the longer wins.
absl::Status WithMessage(const absl::Status& status,
                         const std::vector<std::pair<std::string, std::string>>& words);
// `status` with that name of the parent in its message.
absl::Status ForPeople(const SinkTarget& target, const absl::Status& status);

// PARENT/.NAME.ID.seedlm-partial: where the output is built. Hidden, on the same file system, and a
// function of the target, so that what a killed server left can be found.
std::string StagingPath(const SinkTarget& target);

// What can be known of a target before any work is done. `source`: the checkpoint's path, resolved.
// `replacements`: the output's files; a directory is only replaced if format::CheckReplaceable says
// that nothing but an earlier output goes with it.
// Errors: ALREADY_EXISTS without `overwrite`; INVALID_ARGUMENT (a directory where a file would go
// or the other way round; the source itself, a directory that holds it or lies in it);
// FAILED_PRECONDITION (a directory that is not replaced: perhaps a slip of the hand); NOT_FOUND (no
// parent directory), PERMISSION_DENIED.
absl::Status CheckTarget(const SinkTarget& target, std::string_view source,
                         const format::OutputPaths& replacements);

// The part of it that no source can change: the name, what has it already, the parent directory.
absl::Status CheckTargetAlone(const SinkTarget& target);

// FAILED_PRECONDITION if what has the name of the staging directory is no directory of this
// process's user, but perhaps a link to one: others may write into the output's parent, too.
// Nothing there is OK.
absl::Status CheckStagingIsOurs(const SinkTarget& target);

// Of what an earlier attempt staged, leaves `outputs` (relative paths) alone: everything else is
// made again. Nothing there is OK. Errors: CheckStagingIsOurs, and then nothing was touched.
absl::Status PrepareResume(const SinkTarget& target, const std::vector<std::string>& outputs);

// Removes what an earlier attempt left of this target. Nothing there is OK.
absl::Status RemoveLeftovers(const SinkTarget& target);

}  // namespace seedlm::server
