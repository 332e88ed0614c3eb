// A directory that appears under its name only when it is whole.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/old_output.h"

namespace seedlm::format {

// Files go to working_path(): a hidden directory beside the final one, renamed by Commit; destroyed
// without Commit, it leaves nothing behind. kReplace: what stands under the final name stays whole
// until Commit, which puts the new directory in its place and deletes the old one, all of it: so
// only what CheckReplaceable lets go is replaced, which is asked first and once more at Commit.
class StagedDirectory {
 public:
  // `output`: what the new directory will hold; needed for kReplace alone.
  // Errors: ALREADY_EXISTS (kFail), NOT_FOUND (no such parent), PERMISSION_DENIED,
  // INVALID_ARGUMENT (`path` is a file), those of CheckReplaceable.
  static absl::StatusOr<StagedDirectory> Create(const std::string& path, IfExists if_exists,
                                                NewOutput output = {});
  // As Create, with a hidden name of the caller's beside `path`, where an earlier process may have
  // left files. ABORTED if another process has it.
  static absl::StatusOr<StagedDirectory> Resume(const std::string& path,
                                                const std::string& working_path, IfExists if_exists,
                                                NewOutput output = {});
  StagedDirectory(StagedDirectory&& other) noexcept;
  StagedDirectory& operator=(StagedDirectory&& other) noexcept;
  ~StagedDirectory();

  const std::string& working_path() const { return working_path_; }
  // Destroyed without Commit, what is there stays for a later Resume.
  void Keep() { keep_ = true; }

  // working_path()/relative_path, its directories made. REQUIRES: no ".." in relative_path.
  absl::StatusOr<std::string> PathFor(const std::string& relative_path) const;

  // REQUIRES: the files in it are on disk (AtomicFile::Commit sees to that). Errors: as Create;
  // then what stood there stands there still.
  absl::Status Commit();

 private:
  StagedDirectory() = default;
  static absl::StatusOr<StagedDirectory> Prepare(const std::string& path, IfExists if_exists,
                                                 NewOutput output);
  absl::Status CheckTarget() const;
  int PutInPlace() const;  // 0 or an errno; afterwards an old directory is at working_path_
  std::string path_;
  std::string working_path_;  // empty after Commit
  int lock_ = -1;             // of Resume
  bool keep_ = false;
  IfExists if_exists_ = IfExists::kFail;
  NewOutput output_;
};

}  // namespace seedlm::format
