// The rules for OUT, checked before any work and again at the end.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/temporary_directory.h"

namespace seedlm::client {

// `path` made absolute, symbolic links in its parents resolved, the last part kept as it is (the
// Hugging Face cache is links to files without an ending).
// Errors: NOT_FOUND if a parent does not exist, INVALID_ARGUMENT for an empty path.
absl::StatusOr<std::string> AbsolutePath(const std::string& path);

// Whether `out` may be written. Errors: ALREADY_EXISTS unless `force`; NOT_FOUND, PERMISSION_DENIED
// for its directory; INVALID_ARGUMENT if `out` is `in`, lies in it or holds it, or with `force` if
// a file would replace a directory or the other way round; FAILED_PRECONDITION if a directory that
// is to be replaced holds something else than a checkpoint.
absl::Status CheckOutput(const std::string& in, const std::string& out, bool out_is_directory,
                         bool force);

// A directory that appears under its name whole. Files go below path(); destroyed without Commit,
// nothing stays.
class StagedDirectory {
 public:
  static absl::StatusOr<StagedDirectory> Create(const std::string& final_path, bool force);

  const std::string& path() const { return temporary_.path(); }
  // path()/relative, with the directories in between made.
  absl::StatusOr<std::string> PathFor(const std::string& relative) const;
  // Syncs the directories and renames; with `force` an old directory is exchanged, then removed.
  absl::Status Commit();

 private:
  StagedDirectory(TemporaryDirectory temporary, std::string final_path, bool force)
      : temporary_(std::move(temporary)), final_path_(std::move(final_path)), force_(force) {}
  TemporaryDirectory temporary_;
  std::string final_path_;
  bool force_;
};

// Whether a server's or an index's path stays below the directory it is joined to.
bool IsSafeRelativePath(const std::string& path);

}  // namespace seedlm::client
