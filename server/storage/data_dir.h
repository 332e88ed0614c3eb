// The server's own directory, held by one server at a time.
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

// Movable; releases the lock when destroyed. Immutable, thread-safe.
class DataDir {
 public:
  // Creates what is missing of PATH, PATH/artifacts and PATH/uploads (mode 0700), and locks
  // PATH/lock. Errors: FAILED_PRECONDITION if another server holds it, naming path and pid;
  // INVALID_ARGUMENT (not a directory), NOT_FOUND (no parent directory), PERMISSION_DENIED,
  // RESOURCE_EXHAUSTED.
  static absl::StatusOr<DataDir> Open(const std::string& path);

  const std::string& path() const { return path_; }  // absolute
  std::string artifacts() const { return path_ + "/artifacts"; }
  std::string uploads() const { return path_ + "/uploads"; }
  std::string database() const { return path_ + "/jobs.sqlite"; }

 private:
  DataDir(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  UniqueFd lock_;
};

}  // namespace seedlm::server
