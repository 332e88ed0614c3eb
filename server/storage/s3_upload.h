// One file on its way to an S3 server in parts, whichever server of the job sends them: an upload
// that the ledger knows is gone on with, and of what it holds nothing is sent again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/errors/fault_point.h"
#include "server/storage/part_plan.h"
#include "server/storage/s3/client.h"
#include "server/storage/s3_ledger.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

// Thread-safe. Nothing is asked of the server before the first Send.
//
// A part of an earlier server is kept if three things agree: the ledger says that it was taken, and
// with which ETag and CRC-32C; the S3 server lists it with that ETag and its size; and the staged
// bytes have that CRC-32C. What cannot prove this is sent (again): a part without an ETag, one that
// the ledger does not know. An upload that the server does not know (any more), will not list, or
// that is of another file or cut in other parts, is aborted, by the sweeper if that is refused now,
// and another is begun.
class S3Upload {
 public:
  struct Door {  // what is pointed to outlives the upload
    s3::Client* client = nullptr;
    S3Ledger* ledger = nullptr;
    std::string owner;  // see s3::ObjectInfo
    std::function<int64_t()> unix_seconds;
    FaultPoint fault_point;
    std::function<void(const std::string& message)> inform = [](const std::string&) {};
  };
  // Of the staged file `path`, which has its full size. `part_bytes`: see PartPlan; but those of
  // `earlier`, if that is an upload of a file of this size. `earlier`: what the ledger knows of
  // this key; null: nothing. Errors: of the disk. REQUIRES: `door` outlives the answer.
  static absl::StatusOr<std::unique_ptr<S3Upload>> Open(const Door& door, s3::ObjectName name,
                                                        std::string path, int64_t part_bytes,
                                                        const LedgerEntry* earlier);

  const s3::ObjectName& name() const { return name_; }
  const std::string& path() const { return path_; }
  const PartPlan& plan() const { return plan_; }
  // Bytes [offset, offset + size) of the file. Must not outlive the upload.
  s3::Body BodyOf(int64_t offset, int64_t size) const;

  // Sees to it that the server has this part; asks for the upload if nobody has. REQUIRES: the
  // staged bytes of the part are final. Errors: those of s3::Client; of the disk.
  absl::Status Send(const FilePart& part, const std::stop_token& stop);

  // Makes the object. `sha256`: of the file. Errors: as Client::CompleteUpload; of the disk.
  // REQUIRES: all parts were sent; called once.
  absl::Status Complete(const std::string& sha256, s3::Existing existing,
                        const std::stop_token& stop);

 private:
  S3Upload(const Door& door, s3::ObjectName name, std::string path, UniqueFd fd, PartPlan plan,
           const LedgerEntry* earlier);
  absl::StatusOr<std::string> Id(const std::stop_token& stop);
  absl::StatusOr<std::string> FindOrBegin(const std::stop_token& stop);
  // False: nothing can be gone on with.
  absl::StatusOr<bool> TakeBack(const std::stop_token& stop);
  absl::StatusOr<std::string> Begin(const std::stop_token& stop);
  absl::StatusOr<bool> IsThere(const FilePart& part, const std::stop_token& stop) const;
  void SetTag(s3::PartTag tag);

  const Door& door_;
  const s3::ObjectName name_;
  const std::string path_;
  const UniqueFd fd_;
  const PartPlan plan_;
  const LedgerEntry earlier_;  // no id: there is none

  std::mutex id_mutex_;  // held while the server is asked: the others wait for who came first
  std::optional<absl::StatusOr<std::string>> id_;  // guarded by id_mutex_
  std::map<int, LedgerPart> there_;  // parts that the server lists; constant once there is an id
  std::mutex tags_mutex_;
  std::vector<s3::PartTag> tags_;  // guarded by tags_mutex_
};

}  // namespace seedlm::server
