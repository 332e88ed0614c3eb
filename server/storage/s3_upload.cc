#include "server/storage/s3_upload.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/checksum/crc32c.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/storage/s3/etag.h"

namespace seedlm::server {
namespace {

constexpr int64_t kSumBytes = int64_t{256} << 10;  // of a part, at a time

// The CRC-32C of a body as far as it was read, in order and for the first time.
struct RunningSum {
  int64_t bytes = 0;
  uint32_t crc32c = 0;
};

// `body`, which is summed as it is read. REQUIRES: `body` and `sum` outlive the answer.
s3::Body Summed(const s3::Body& body, RunningSum& sum) {
  return {body.size, [&body, &sum](int64_t at, std::span<char> buffer) {
            absl::Status status = body.read(at, buffer);
            if (status.ok() && at == sum.bytes) {
              sum.crc32c = checksum::ExtendCrc32c(sum.crc32c, std::as_bytes(buffer));
              sum.bytes += static_cast<int64_t>(buffer.size());
            }
            return status;
          }};
}

absl::StatusOr<uint32_t> Crc32cOf(const s3::Body& body, const std::stop_token& stop) {
  RunningSum sum;
  const s3::Body summed = Summed(body, sum);
  std::vector<char> piece(static_cast<size_t>(std::min(kSumBytes, body.size)));
  while (sum.bytes < body.size) {
    if (stop.stop_requested()) return absl::CancelledError("stopped on request");
    const int64_t wanted = std::min(kSumBytes, body.size - sum.bytes);
    absl::Status status =
        summed.read(sum.bytes, std::span(piece).first(static_cast<size_t>(wanted)));
    if (!status.ok()) return status;
  }
  return sum.crc32c;
}

PartPlan PlanOf(int64_t size, int64_t part_bytes, const LedgerEntry* earlier) {
  const bool same =
      earlier != nullptr && earlier->size == size && earlier->part_bytes >= s3::kMinPartBytes;
  return {size, same ? earlier->part_bytes : part_bytes};
}

}  // namespace

absl::StatusOr<std::unique_ptr<S3Upload>> S3Upload::Open(const Door& door, s3::ObjectName name,
                                                         std::string path, int64_t part_bytes,
                                                         const LedgerEntry* earlier) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0) return format::ErrnoToStatus(errno, path, "open");
  PartPlan plan = PlanOf(std::max<int64_t>(info.st_size, 1), part_bytes, earlier);
  return std::unique_ptr<S3Upload>(new S3Upload(door, std::move(name), std::move(path),
                                                std::move(fd), std::move(plan), earlier));
}

S3Upload::S3Upload(const Door& door, s3::ObjectName name, std::string path, UniqueFd fd,
                   PartPlan plan, const LedgerEntry* earlier)
    : door_(door),
      name_(std::move(name)),
      path_(std::move(path)),
      fd_(std::move(fd)),
      plan_(std::move(plan)),
      earlier_(earlier != nullptr ? *earlier : LedgerEntry{}),
      tags_(static_cast<size_t>(plan_.parts())) {}

s3::Body S3Upload::BodyOf(int64_t offset, int64_t size) const {
  return {
      size, [this, offset](int64_t at, std::span<char> buffer) {
        for (size_t done = 0; done < buffer.size();) {
          const ssize_t count = pread(fd_.get(), buffer.data() + done, buffer.size() - done,
                                      static_cast<off_t>(offset + at + static_cast<int64_t>(done)));
          if (count < 0 && errno == EINTR) continue;
          if (count < 0) return format::ErrnoToStatus(errno, path_, "read");
          if (count == 0) {
            return absl::InternalError(absl::StrCat(format::Printable(path_), ": became shorter"));
          }
          done += static_cast<size_t>(count);
        }
        return absl::OkStatus();
      }};
}

absl::StatusOr<std::string> S3Upload::Id(const std::stop_token& stop) {
  const std::lock_guard lock(id_mutex_);
  if (!id_.has_value()) id_ = FindOrBegin(stop);
  return *id_;
}

absl::StatusOr<std::string> S3Upload::FindOrBegin(const std::stop_token& stop) {
  if (!earlier_.upload_id.empty()) {
    const absl::StatusOr<bool> taken = TakeBack(stop);
    if (!taken.ok()) return taken.status();
    if (*taken) return earlier_.upload_id;
  }
  return Begin(stop);
}

absl::StatusOr<bool> S3Upload::TakeBack(const std::stop_token& stop) {
  if (earlier_.size == plan_.size() && earlier_.part_bytes == plan_.part_bytes()) {
    const auto listed = door_.client->ListParts(name_, earlier_.upload_id, stop);
    if (absl::IsUnavailable(listed.status()) || absl::IsCancelled(listed.status())) {
      return listed.status();
    }
    if (listed.ok()) {
      for (const s3::ListedPart& part : *listed) {
        const auto sent = earlier_.parts.find(part.number);
        if (sent == earlier_.parts.end() || part.number > plan_.parts()) continue;
        if (part.size != plan_.part(part.number - 1).size) continue;
        if (s3::SameEtag(sent->second.etag, part.etag)) there_.insert(*sent);
      }
      if (!there_.empty()) {
        door_.inform(absl::StrCat(s3::ToUri(name_), ": ", there_.size(), " of ", plan_.parts(),
                                  " parts are at S3 already"));
      }
      Reach(door_.fault_point, "s3.taken_back");
      return true;
    }
  }
  absl::Status status = door_.client->AbortUpload(name_, earlier_.upload_id, stop);
  if (absl::IsUnavailable(status) || absl::IsCancelled(status)) return status;
  if (!status.ok()) return false;  // where that is refused it is the sweeper's, who warns
  Reach(door_.fault_point, "s3.let_go");
  status = door_.ledger->Closed(name_.key);
  if (!status.ok()) return status;
  return false;
}

absl::StatusOr<std::string> S3Upload::Begin(const std::stop_token& stop) {
  absl::Status status = door_.ledger->Begin(name_.key, door_.unix_seconds());
  if (!status.ok()) return status;
  Reach(door_.fault_point, "s3.begun");
  bool repeated = false;
  absl::StatusOr<std::string> id = door_.client->CreateUpload(name_, door_.owner, stop, &repeated);
  if (!id.ok()) return id.status();
  Reach(door_.fault_point, "s3.created");
  // Of two uploads the ledger knows one by its id; the entry of the other goes by its key.
  if (repeated) status = door_.ledger->Begin(name_.key, door_.unix_seconds());
  if (status.ok()) {
    status = door_.ledger->Opened(name_.key, *id, plan_.size(), plan_.part_bytes());
  }
  if (!status.ok()) return status;
  Reach(door_.fault_point, "s3.opened");
  return id;
}

absl::StatusOr<bool> S3Upload::IsThere(const FilePart& part, const std::stop_token& stop) const {
  const auto listed = there_.find(part.number);
  if (listed == there_.end()) return false;
  const absl::StatusOr<uint32_t> crc32c = Crc32cOf(BodyOf(part.offset, part.size), stop);
  if (!crc32c.ok()) return crc32c.status();
  return *crc32c == listed->second.crc32c;
}

absl::Status S3Upload::Send(const FilePart& part, const std::stop_token& stop) {
  const absl::StatusOr<std::string> id = Id(stop);
  if (!id.ok()) return id.status();
  const absl::StatusOr<bool> there = IsThere(part, stop);
  if (!there.ok()) return there.status();
  if (*there) {
    Reach(door_.fault_point, "s3.kept");
    SetTag({part.number, there_.at(part.number).etag});
    return absl::OkStatus();
  }
  const s3::Body body = BodyOf(part.offset, part.size);
  RunningSum sum;
  absl::StatusOr<s3::PartTag> tag =
      door_.client->UploadPart(name_, *id, part.number, Summed(body, sum), stop);
  if (!tag.ok()) return tag.status();
  Reach(door_.fault_point, "s3.sent");
  if (!tag->etag.empty()) {  // else nothing would prove it later
    absl::Status status = door_.ledger->Sent(name_.key, *tag, sum.crc32c);
    if (!status.ok()) return status;
  }
  Reach(door_.fault_point, "s3.recorded");
  SetTag(*std::move(tag));
  return absl::OkStatus();
}

void S3Upload::SetTag(s3::PartTag tag) {
  const std::lock_guard lock(tags_mutex_);
  tags_[static_cast<size_t>(tag.number) - 1] = std::move(tag);
}

absl::Status S3Upload::Complete(const std::string& sha256, s3::Existing existing,
                                const std::stop_token& stop) {
  const absl::StatusOr<std::string> id = Id(stop);
  if (!id.ok()) return id.status();
  const std::lock_guard lock(tags_mutex_);
  absl::Status status = door_.ledger->Completing(name_.key, sha256, s3::MultipartEtag(tags_));
  if (!status.ok()) return status;
  Reach(door_.fault_point, "s3.completing");
  const absl::StatusOr<std::string> etag =
      door_.client->CompleteUpload(name_, *id, tags_, existing, door_.owner, stop);
  if (!etag.ok()) return etag.status();
  Reach(door_.fault_point, "s3.completed");
  return door_.ledger->Made(name_.key, *etag);
}

}  // namespace seedlm::server
