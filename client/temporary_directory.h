// Directories that do not outlive the process.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace seedlm::client {

// A hidden directory, removed with all that is in it by the destructor, or as a leftover when the
// process is told to leave at once. Move-only.
class TemporaryDirectory {
 public:
  // `parent`/.NAME.XXXXXX, mode 0700. Errors: those of the file system, naming `parent`.
  static absl::StatusOr<TemporaryDirectory> Create(const std::string& parent,
                                                   const std::string& name);
  // $TMPDIR, or /tmp.
  static std::string SystemParent();

  TemporaryDirectory(TemporaryDirectory&& other) noexcept;
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  void Remove();
  std::string path_;  // empty after a move
};

}  // namespace seedlm::client
