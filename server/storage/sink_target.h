// The final name of a job's output, before and after there is one.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace seedlm::server {

struct SinkTarget {
  std::string path;        // absolute final name, resolved
  bool directory = false;  // what the final name becomes
  bool overwrite = false;
  bool result = false;  // an artifact of the server's own: marked as a job's result
  std::string id;       // of the job, part of the staging name
};

// PARENT/.NAME.ID.seedlm-partial: where the output is built. Hidden, on the same file system, and a
// function of the target, so that what a killed server left can be found.
std::string StagingPath(const SinkTarget& target);

// What can be known of a target before any work is done. `source`: the checkpoint's path, resolved.
// Errors: ALREADY_EXISTS without `overwrite`; INVALID_ARGUMENT (a directory where a file would go
// or the other way round; the source itself, a directory that holds it or lies in it);
// FAILED_PRECONDITION (a directory to be replaced that holds no checkpoint: perhaps a slip of the
// hand); NOT_FOUND (no parent directory), PERMISSION_DENIED.
absl::Status CheckTarget(const SinkTarget& target, std::string_view source);

// Removes what a server that was killed left of this target. Nothing there is OK.
absl::Status RemoveLeftovers(const SinkTarget& target);

}  // namespace seedlm::server
