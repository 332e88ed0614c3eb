// What a job has under way at an S3 server, on disk, so that a server that is killed leaves no
// parts behind: the job goes on with the uploads that its ledger names, or whoever finds a ledger
// of a job that does not go on aborts them and removes the objects that it wants undone.
//
// DIRECTORY/NAME.ledger holds JSON, one object a line, only ever appended:
//   {"bucket": B}                           the first line
//   {"begin": KEY, "time": SECONDS}         an upload will be asked for
//   {"open": KEY, "id": UPLOAD_ID, "size": BYTES, "part_bytes": BYTES}
//                                           it has this id, and takes such a file in such parts
//   {"part": KEY, "number": N, "etag": E, "crc32c": C}
//                                           part N is there: bytes with this CRC-32C, sent once
//   {"completing": KEY, "sha256": S, "etag": E}
//                                           all parts are, if it goes in parts; an object of this
//                                           file will be asked for, with this ETag, if that is
//                                           known
//   {"made": KEY, "etag": E}                the object is there, and the upload is none any more
//   {"closed": KEY}                         it was aborted, or is gone
//   {"undo": KEY, "owner": OWNER}           the object is there, and should not be: others failed
//   {"undone": true}                        all of those are gone
// Lines at the end that a crash cut off, or left as no text at all, count as not written, and so
// does what follows them. They are at most those after the last "begin", "open", "completing" or
// "undo", which are on disk before anything is done.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/s3/answers.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

// A part that the server has taken.
struct LedgerPart {
  std::string etag;  // as the server gave it; not empty
  uint32_t crc32c = 0;
};

// An upload that may be open.
struct LedgerEntry {
  std::string key;
  std::string upload_id{};            // empty: asked for, and no answer was written down
  int64_t begun = 0;                  // seconds since 1970
  int64_t size = 0;                   // of the file, in bytes; 0: not known
  int64_t part_bytes = 0;             // see PartPlan; 0: not known
  std::map<int, LedgerPart> parts{};  // by number
};

// An object that was asked for, and may be there.
struct LedgerObject {
  std::string sha256;  // of the file
  std::string etag;    // of the object, if it holds these bytes; empty: not known
};

// An object that is to be removed, if it still is the owner's.
struct LedgerUndo {
  std::string key;
  std::string owner;  // s3::ObjectInfo::owner
};

struct LedgerContent {
  std::string bucket;
  std::vector<LedgerEntry> open;
  std::map<std::string, LedgerObject> objects;  // by key
  std::vector<LedgerUndo> undo;

  // The last upload of this key whose id is known; null: there is none.
  const LedgerEntry* Find(std::string_view key) const;
};

// Thread-safe.
class S3Ledger {
 public:
  // A new file in `directory`, which exists. Errors: of the disk.
  static absl::StatusOr<std::unique_ptr<S3Ledger>> Create(const std::string& directory,
                                                          std::string_view name,
                                                          std::string_view bucket);
  // One that an earlier server or attempt has written, to be appended to. Errors: as Read; of the
  // disk. REQUIRES: nobody else appends to it.
  struct Reopened;
  static absl::StatusOr<Reopened> Reopen(const std::string& path);

  const std::string& path() const { return path_; }

  // On disk when they return.
  absl::Status Begin(std::string_view key, int64_t unix_seconds);
  // `size` of the file and `part_bytes` of its plan, in bytes.
  absl::Status Opened(std::string_view key, std::string_view upload_id, int64_t size,
                      int64_t part_bytes);
  absl::Status Completing(std::string_view key, std::string_view sha256, std::string_view etag);
  absl::Status Undo(std::string_view key, std::string_view owner);
  // Undo of every object that may be there, as far as the disk takes it. Adds all their keys to
  // `keys`, if that is not null. Errors: as Read; of the disk.
  absl::Status UndoAll(std::string_view owner, std::vector<std::string>* keys = nullptr);
  // A crash of the machine may take these back: then a part is sent again, or what is gone is
  // aborted again.
  absl::Status Sent(std::string_view key, const s3::PartTag& part, uint32_t crc32c);
  absl::Status Made(std::string_view key, std::string_view etag);
  absl::Status Closed(std::string_view key);

  // Errors: NOT_FOUND; INTERNAL for a file that is no ledger.
  static absl::StatusOr<LedgerContent> Read(const std::string& path);
  // Of a ledger that nobody appends to any more.
  static absl::Status Undone(const std::string& path);
  // Paths of all ledgers in `directory`, or of those that Create made for `name`; none if it does
  // not exist.
  static std::vector<std::string> Find(const std::string& directory);
  static std::vector<std::string> FindOf(const std::string& directory, std::string_view name);
  // For whom Create made the ledger at `path`.
  static std::string NameOf(const std::string& path);

 private:
  S3Ledger(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  absl::Status Append(const std::string& line, bool sync);

  const std::string path_;
  std::mutex mutex_;
  UniqueFd fd_;  // guarded by mutex_
};

struct S3Ledger::Reopened {
  std::unique_ptr<S3Ledger> ledger;
  LedgerContent content;  // when it was opened
};

}  // namespace seedlm::server
