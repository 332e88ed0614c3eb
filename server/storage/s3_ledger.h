// What a job leaves at an S3 server if it ends now, on disk, so that a server that is killed leaves
// no parts behind: whoever finds a ledger aborts the uploads and removes the objects that it names.
//
// DIRECTORY/NAME.ledger holds JSON, one object a line, only ever appended:
//   {"bucket": B}                           the first line
//   {"begin": KEY, "time": SECONDS}         an upload will be asked for
//   {"open": KEY, "id": UPLOAD_ID}          it has this id
//   {"closed": KEY}                         it was completed or aborted
//   {"undo": KEY, "owner": OWNER}           the object is there, and should not be: others failed
//   {"undone": true}                        all of those are gone
// A last line that was cut off by a crash counts as not written.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

// An upload that may be open.
struct LedgerEntry {
  std::string key;
  std::string upload_id;  // empty: asked for, and no answer was written down
  int64_t begun = 0;      // seconds since 1970
};

// An object that is to be removed, if it still is the owner's.
struct LedgerUndo {
  std::string key;
  std::string owner;  // s3::ObjectInfo::owner
};

struct LedgerContent {
  std::string bucket;
  std::vector<LedgerEntry> open;
  std::vector<LedgerUndo> undo;
};

// Thread-safe.
class S3Ledger {
 public:
  // A new file in `directory`, which exists. Errors: of the disk.
  static absl::StatusOr<std::unique_ptr<S3Ledger>> Create(const std::string& directory,
                                                          std::string_view name,
                                                          std::string_view bucket);

  const std::string& path() const { return path_; }

  // On disk when they return; Closed need not be: what is gone may be aborted again.
  absl::Status Begin(std::string_view key, int64_t unix_seconds);
  absl::Status Opened(std::string_view key, std::string_view upload_id);
  absl::Status Closed(std::string_view key);
  absl::Status Undo(std::string_view key, std::string_view owner);

  // Errors: INTERNAL for a file that is no ledger.
  static absl::StatusOr<LedgerContent> Read(const std::string& path);
  // Of a ledger that nobody appends to any more.
  static absl::Status Undone(const std::string& path);
  // Paths of all ledgers in `directory`, or of those that Create made for `name`; none if it does
  // not exist.
  static std::vector<std::string> Find(const std::string& directory);
  static std::vector<std::string> FindOf(const std::string& directory, std::string_view name);

 private:
  S3Ledger(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  absl::Status Append(const std::string& line, bool sync);

  const std::string path_;
  std::mutex mutex_;
  UniqueFd fd_;  // guarded by mutex_
};

}  // namespace seedlm::server
