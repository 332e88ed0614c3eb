#include "server/storage/s3_sweeper.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
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

absl::Status AlreadyClaimed(const s3::ObjectName& object) {
  return absl::AbortedError(absl::StrCat(s3::ToUri(object), ": a job is writing it again"));
}

// The ids that ledgers beside the one at `path`, and itself, know.
std::set<std::string> KnownUploads(const std::string& path) {
  std::set<std::string> known;
  for (const std::string& other :
       S3Ledger::Find(std::filesystem::path(path).parent_path().string())) {
    const absl::StatusOr<LedgerContent> content = S3Ledger::Read(other);
    if (!content.ok()) continue;
    for (const LedgerEntry& entry : content->open) {
      if (!entry.upload_id.empty()) known.insert(entry.upload_id);
    }
  }
  return known;
}

// `path`: of the ledger that has the entry.
absl::Status Abort(s3::Client& client, const std::string& path, const std::string& bucket,
                   const LedgerEntry& entry, const std::stop_token& stop,
                   const std::function<bool(const s3::ObjectName&)>& claimed) {
  const s3::ObjectName object{bucket, entry.key};
  if (!entry.upload_id.empty()) {
    return client.AbortUpload(object, entry.upload_id, stop, kSweepAttempts);
  }
  const auto open = client.ListUploads(bucket, entry.key, stop, kSweepAttempts);
  if (!open.ok()) return open.status();
  // Not before the list: what is claimed after it is not in it, and what was claimed before it and
  // is not any more is in a ledger.
  if (claimed(object)) return AlreadyClaimed(object);
  const std::set<std::string> known = KnownUploads(path);
  for (const s3::OpenUpload& upload : *open) {
    if (!MayBe(upload, entry) || known.contains(upload.upload_id)) continue;
    absl::Status status = client.AbortUpload(object, upload.upload_id, stop, kSweepAttempts);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RemoveOwned(s3::Client& client, const s3::ObjectName& object, const std::string& owner,
                         const std::stop_token& stop, int attempts) {
  const auto info = client.HeadObject(object, stop, attempts);
  if (!info.ok()) return info.status();
  if (!info->has_value() || (*info)->owner != owner) return absl::OkStatus();
  return client.DeleteObject(object, stop, attempts);
}

absl::Status UndoLedger(s3::Client& client, const std::string& path, const std::stop_token& stop,
                        const FaultPoint& fault_point) {
  const absl::StatusOr<LedgerContent> content = S3Ledger::Read(path);
  if (absl::IsNotFound(content.status())) return absl::OkStatus();
  if (!content.ok()) return content.status();
  if (content->undo.empty()) return absl::OkStatus();
  for (const LedgerUndo& undo : content->undo) {
    absl::Status status = RemoveOwned(client, {content->bucket, undo.key}, undo.owner, stop);
    if (!status.ok()) return status;
  }
  Reach(fault_point, "undo.removed");
  absl::Status status = S3Ledger::Undone(path);
  Reach(fault_point, "undo.written");
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status SweepLedger(s3::Client& client, const std::string& path, const std::stop_token& stop,
                         const std::function<bool(const s3::ObjectName&)>& claimed,
                         const std::function<void(bool)>& removing, const FaultPoint& fault_point) {
  const absl::StatusOr<LedgerContent> content = S3Ledger::Read(path);
  if (absl::IsNotFound(content.status())) return absl::OkStatus();
  if (!content.ok()) return content.status();
  absl::Status later;
  for (const LedgerEntry& entry : content->open) {
    absl::Status status = Abort(client, path, content->bucket, entry, stop, claimed);
    if (!status.ok() && !absl::IsAborted(status)) return status;
    later.Update(status);
    Reach(fault_point, "sweep.aborted");
  }
  for (const LedgerUndo& undo : content->undo) {
    const s3::ObjectName object{content->bucket, undo.key};
    removing(true);
    absl::Status status = claimed(object)
                              ? AlreadyClaimed(object)
                              : RemoveOwned(client, object, undo.owner, stop, kSweepAttempts);
    removing(false);
    if (!status.ok() && !absl::IsAborted(status)) return status;
    later.Update(status);
    Reach(fault_point, "sweep.removed");
  }
  if (!later.ok()) return later;
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return format::ErrnoToStatus(errno, path, "remove");
  }
  return absl::OkStatus();
}

S3Sweeper::S3Sweeper(s3::Client& client, Warn warn, std::chrono::milliseconds pause,
                     FaultPoint fault_point)
    : client_(client),
      warn_(std::move(warn)),
      pause_(pause),
      fault_point_(std::move(fault_point)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

S3Sweeper::~S3Sweeper() = default;

void S3Sweeper::Take(std::string ledger_path) {
  const std::lock_guard lock(mutex_);
  if (std::find(ledgers_.begin(), ledgers_.end(), ledger_path) != ledgers_.end()) return;
  std::erase(later_, ledger_path);  // its turn is now
  ledgers_.push_back(std::move(ledger_path));
  changed_.notify_all();
}

bool S3Sweeper::GiveBack(const std::string& ledger_path) {
  const std::lock_guard lock(mutex_);
  if (in_work_ == ledger_path) return false;
  std::erase(ledgers_, ledger_path);
  std::erase(later_, ledger_path);
  return true;
}

S3Sweeper::Claim::Claim(Claim&& other) noexcept
    : sweeper_(std::exchange(other.sweeper_, nullptr)), prefix_(other.prefix_) {}

S3Sweeper::Claim& S3Sweeper::Claim::operator=(Claim&& other) noexcept {
  std::swap(sweeper_, other.sweeper_);
  std::swap(prefix_, other.prefix_);
  return *this;
}

S3Sweeper::Claim::~Claim() {
  if (sweeper_ == nullptr) return;
  const std::lock_guard lock(sweeper_->mutex_);
  sweeper_->claimed_.erase(prefix_);
  sweeper_->released_ = true;
  sweeper_->changed_.notify_all();
}

absl::StatusOr<S3Sweeper::Claim> S3Sweeper::ClaimPrefix(const s3::Location& location,
                                                        const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [this] { return !removing_; })) {
    return absl::CancelledError(absl::StrCat("s3://", location.bucket, "/", location.prefix,
                                             ": stopped on request before it was written to"));
  }
  return Claim(this, claimed_.insert(absl::StrCat(location.bucket, "/", location.prefix, "/")));
}

bool S3Sweeper::IsClaimed(const s3::ObjectName& object) const {
  const std::string name = absl::StrCat(object.bucket, "/", object.key);
  const std::lock_guard lock(mutex_);
  return std::any_of(claimed_.begin(), claimed_.end(),
                     [&name](const std::string& prefix) { return name.starts_with(prefix); });
}

bool S3Sweeper::idle() const {
  const std::lock_guard lock(mutex_);
  return ledgers_.empty() && later_.empty();
}

void S3Sweeper::AwaitTurn(std::unique_lock<std::mutex>& lock, const std::stop_token& stop) {
  const auto turn = [this] { return !ledgers_.empty() || (released_ && !later_.empty()); };
  if (later_.empty()) {
    changed_.wait(lock, stop, turn);
  } else {
    changed_.wait_until(lock, stop, again_, turn);
  }
  if (!released_ && std::chrono::steady_clock::now() < again_) return;
  released_ = false;
  ledgers_.insert(ledgers_.end(), later_.begin(), later_.end());
  later_.clear();
}

void S3Sweeper::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  bool warned = false;
  while (!stop.stop_requested()) {
    AwaitTurn(lock, stop);
    if (ledgers_.empty()) continue;
    std::string path = in_work_ = ledgers_.front();
    lock.unlock();
    const absl::Status status = SweepLedger(
        client_, path, stop, [this](const s3::ObjectName& object) { return IsClaimed(object); },
        [this](bool removing) {
          const std::lock_guard now(mutex_);
          removing_ = removing;
          changed_.notify_all();
        },
        fault_point_);
    const bool in_order = status.ok() || absl::IsAborted(status);
    if (!in_order && !stop.stop_requested() && !std::exchange(warned, true)) {
      warn_(absl::StrCat(path, ": what it names cannot be removed yet: ", status.ToString()));
    }
    lock.lock();
    in_work_.clear();
    std::erase(ledgers_, path);
    if (in_order) warned = false;
    if (status.ok()) continue;
    if (later_.empty()) again_ = std::chrono::steady_clock::now() + pause_;
    later_.push_back(std::move(path));
  }
}

}  // namespace seedlm::server
