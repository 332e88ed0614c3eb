// A directory that appears under its name only when it is whole.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::format {

// Files go to working_path(): a hidden directory beside the final one, renamed by Commit; destroyed
// without Commit, it leaves nothing behind. kReplace: what stands under the final name stays whole
// until Commit, which puts the new directory in its place and deletes the old one, all of it.
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
  int PutInPlace() const;  // 0 or an errno; afterwards an old directory is at working_path_
  std::string path_;
  std::string working_path_;  // empty after Commit
  IfExists if_exists_ = IfExists::kFail;
};

}  // namespace seedlm::format
