#include "server/storage/s3_sweeper.h"

#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "kernels/format/atomic_file.h"
#include "server/storage/s3_ledger.h"

namespace seedlm::server {
namespace {

constexpr int64_t kClockSkewSeconds = 15 * 60;  // S3 itself refuses requests that are off by more

// Whether an upload may be the one of `entry`, whose id is not known.
bool MayBe(const s3::OpenUpload& upload, const LedgerEntry& entry) {
  if (upload.key != entry.key) return false;
  absl::Time initiated;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, upload.initiated, &initiated, &error)) return false;
  return absl::ToUnixSeconds(initiated) >= entry.begun - kClockSkewSeconds;
}

absl::Status Abort(s3::Client& client, const std::string& bucket, const LedgerEntry& entry,
                   const std::stop_token& stop) {
  const s3::ObjectName object{bucket, entry.key};
  if (!entry.upload_id.empty()) return client.AbortUpload(object, entry.upload_id, stop);
  const auto open = client.ListUploads(bucket, entry.key, stop);
  if (!open.ok()) return open.status();
  for (const s3::OpenUpload& upload : *open) {
    if (!MayBe(upload, entry)) continue;
    absl::Status status = client.AbortUpload(object, upload.upload_id, stop);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SweepLedger(s3::Client& client, const std::string& path, const std::stop_token& stop) {
  const absl::StatusOr<LedgerContent> content = S3Ledger::Read(path);
  if (absl::IsNotFound(content.status())) return absl::OkStatus();
  if (!content.ok()) return content.status();
  for (const LedgerEntry& entry : content->open) {
    if (absl::Status status = Abort(client, content->bucket, entry, stop); !status.ok()) {
      return status;
    }
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return format::ErrnoToStatus(errno, path, "remove");
  }
  return absl::OkStatus();
}

S3Sweeper::S3Sweeper(s3::Client& client, Warn warn, std::chrono::milliseconds pause)
    : client_(client),
      warn_(std::move(warn)),
      pause_(pause),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

S3Sweeper::~S3Sweeper() = default;

void S3Sweeper::Take(std::string ledger_path) {
  const std::lock_guard lock(mutex_);
  ledgers_.push_back(std::move(ledger_path));
  changed_.notify_all();
}

bool S3Sweeper::idle() const {
  const std::lock_guard lock(mutex_);
  return ledgers_.empty();
}

void S3Sweeper::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  bool warned = false;
  while (changed_.wait(lock, stop, [this] { return !ledgers_.empty(); }) &&
         !stop.stop_requested()) {
    std::string path = ledgers_.front();
    lock.unlock();
    const absl::Status status = SweepLedger(client_, path, stop);
    if (!status.ok() && !stop.stop_requested() && !std::exchange(warned, true)) {
      warn_(absl::StrCat(path, ": open uploads cannot be aborted yet: ", status.ToString()));
    }
    lock.lock();
    ledgers_.pop_front();
    if (status.ok()) {
      warned = false;
      continue;
    }
    ledgers_.push_back(std::move(path));
    changed_.wait_for(lock, stop, pause_, [] { return false; });
  }
}

}  // namespace seedlm::server
