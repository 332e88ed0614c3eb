// Directories that do not outlive the process.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace seedlm::client {

// A hidden directory, removed with all that is in it by the destructor, or by RemoveAll when the
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
  // The directory has been given another name and stays: forget it.
  void Release();

  // Removes every one that exists in this process. For the second interrupt, just before _exit.
  static void RemoveAll();

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  void Remove();
  std::string path_;  // empty after a move
};

}  // namespace seedlm::client
