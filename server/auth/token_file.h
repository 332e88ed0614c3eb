// The token file of a running server: read at the start, and again when it has changed.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/file_watch.h"
#include "server/auth/token_table.h"

namespace seedlm::server {

// Thread-safe.
class TokenFile {
 public:
  // Told what an operator should know: a file that others can read, one that is wrong now; how many
  // tokens it has whenever it was read, and no error then.
  struct Reports {
    std::function<void(const std::string& message)> warn;
    std::function<void(const std::string& message)> inform = [](const std::string&) {};
  };

  // Errors: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (TokenTable::Parse).
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(const std::string& path, Reports reports);

  // The table as the file has it; the file is looked at (stat) once a second at most, by whoever
  // asks then. A file that is gone or wrong is warned of once, and the tokens stay as they were: a
  // slip of an editor locks nobody out, and lets nobody in.
  std::shared_ptr<const TokenTable> Table();

  // Reads the file now, changed or not. Its error is returned, and the tokens stay as they were.
  absl::Status Reload();

 private:
  TokenFile(std::string path, Reports reports)
      : path_(std::move(path)), reports_(std::move(reports)), watch_(path_) {}
  absl::Status ReloadLocked();  // REQUIRES: mutex_ is held

  const std::string path_;
  const Reports reports_;
  std::mutex mutex_;  // guards all below
  format::FileWatch watch_;
  std::shared_ptr<const TokenTable> table_;
};

}  // namespace seedlm::server
