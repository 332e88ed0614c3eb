// A directory that appears under its name only when it is whole.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::format {

// Files go to working_path(): a hidden directory beside the final one, renamed by Commit; destroyed
// without Commit, it leaves nothing behind. Where the final directory exists already (kReplace) the
// files go straight into it: its other files are nobody's to delete.
class StagedDirectory {
 public:
  // Errors: ALREADY_EXISTS (kFail), NOT_FOUND (no such parent), PERMISSION_DENIED,
  // INVALID_ARGUMENT (`path` is a file).
  static absl::StatusOr<StagedDirectory> Create(const std::string& path, IfExists if_exists);
  StagedDirectory(StagedDirectory&& other) noexcept;
  StagedDirectory& operator=(StagedDirectory&& other) noexcept;
  ~StagedDirectory();

  const std::string& working_path() const { return working_path_; }

  // working_path()/relative_path, its directories made. REQUIRES: no ".." in relative_path.
  absl::StatusOr<std::string> PathFor(const std::string& relative_path) const;

  // REQUIRES: the files in it are on disk (AtomicFile::Commit sees to that).
  absl::Status Commit();

 private:
  StagedDirectory() = default;
  bool is_staged() const { return working_path_ != path_; }
  std::string path_;
  std::string working_path_;  // empty after Commit
};

}  // namespace seedlm::format
