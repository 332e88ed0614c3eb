// The server's own directory, held by one server at a time.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

// Where one owner's bytes are.
class ArtifactFolders {
 public:
  explicit ArtifactFolders(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }
  std::string artifacts() const { return path_ + "/artifacts"; }
  std::string uploads() const { return path_ + "/uploads"; }
  std::string s3() const { return path_ + "/s3"; }  // what goes to S3, staged

 private:
  std::string path_;
};

// Movable; releases the lock when destroyed. Immutable, thread-safe.
class DataDir {
 public:
  // Creates what is missing of PATH, PATH/{artifacts,uploads,owners} (mode 0700), and locks
  // PATH/lock. Errors: FAILED_PRECONDITION if another server holds it, naming path and pid;
  // INVALID_ARGUMENT (not a directory), NOT_FOUND (no parent directory), PERMISSION_DENIED,
  // RESOURCE_EXHAUSTED.
  static absl::StatusOr<DataDir> Open(const std::string& path);

  // The errors of Open that do not depend on the moment, and of opening a job database that is
  // there. Changes nothing.
  static absl::Status Check(const std::string& path);

  // Whether the server can still work in it: PATH leads to the directory that was opened, and a
  // file there takes a page (which the system may have kept: what a disk says later is not seen).
  // FAILED_PRECONDITION (moved away, or another in its place), RESOURCE_EXHAUSTED (the disk is
  // full), PERMISSION_DENIED (read-only).
  absl::Status CheckUsable() const;

  const std::string& path() const { return path_; }  // absolute
  bool is_new() const { return is_new_; }            // no server has had it before
  std::string owners() const { return path_ + "/owners"; }
  // PATH itself for the owner "" of a server without tokens, else PATH/owners/OWNER.
  ArtifactFolders FoldersOf(std::string_view owner) const {
    return ArtifactFolders(owner.empty() ? path_ : owners() + "/" + std::string(owner));
  }
  std::string s3() const { return path_ + "/s3"; }  // ledgers; made when it is needed
  std::string database() const { return path_ + "/jobs.sqlite"; }

  // Before the job database is opened: makes its file if there is none, and keeps it and what
  // SQLite puts beside it from everybody else (mode 0600, whatever the umask). The answer is what
  // an operator should know, mostly "": no jobs are known, although there are artifacts.
  // FAILED_PRECONDITION: it is gone, but for its log, which SQLite would remove. NOT_FOUND,
  // PERMISSION_DENIED, RESOURCE_EXHAUSTED.
  absl::StatusOr<std::string> PrepareDatabase() const;

 private:
  bool HasArtifacts() const;
  DataDir(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  UniqueFd lock_;
  bool is_new_ = false;
};

}  // namespace seedlm::server
