#include "server/scheduler/work_log.h"

#include <thread>
#include <utility>

namespace seedlm::server {
namespace {

constexpr std::chrono::milliseconds kPause{100};  // the store has waited, too

}  // namespace

void WorkLog::Add(const LevelsRecord& levels) {
  const std::lock_guard lock(mutex_);
  batch_.levels.push_back(levels);
}

void WorkLog::Add(std::span<const PieceRecord> pieces) {
  const std::lock_guard lock(mutex_);
  std::chrono::duration<double> taken{0};
  for (const PieceRecord& piece : pieces) {
    batch_.pieces.push_back(piece);
    taken += std::chrono::duration<double>(piece.seconds);
  }
  large_ |= taken >= interval_;
}

void WorkLog::Add(const FinishedTensor& tensor) {
  const std::lock_guard lock(mutex_);
  batch_.finished.push_back(tensor);
}

bool WorkLog::Due() const {
  const std::lock_guard lock(mutex_);
  return large_ || std::chrono::steady_clock::now() - last_commit_ >= interval_;
}

absl::Status WorkLog::Commit() { return Due() ? CommitAll() : absl::OkStatus(); }

absl::Status WorkLog::CommitAll() {
  const std::lock_guard lock(commit_mutex_);
  if (failure_.ok()) failure_ = CommitBatch();
  return failure_;
}

absl::Status WorkLog::Record(const WorkBatch& batch) const {
  const auto until = std::chrono::steady_clock::now() + parts_.patience;
  while (true) {
    absl::Status status = parts_.store->RecordWork(job_, batch);
    if (!absl::IsUnavailable(status) || parts_.stop.stop_requested() ||
        std::chrono::steady_clock::now() >= until) {
      return status;
    }
    std::this_thread::sleep_for(kPause);
  }
}

absl::Status WorkLog::CommitBatch() {
  WorkBatch batch;
  {
    const std::lock_guard lock(mutex_);
    batch = std::exchange(batch_, {});
    large_ = false;
  }
  if (batch.empty()) return absl::OkStatus();  // another thread has taken it along
  Reach(parts_.fault_point, "work.written");
  if (absl::Status status = parts_.sync(); !status.ok()) return status;
  Reach(parts_.fault_point, "work.synced");
  absl::Status status = Record(batch);
  if (!status.ok()) return status;
  Reach(parts_.fault_point, "work.recorded");
  const std::lock_guard lock(mutex_);
  last_commit_ = std::chrono::steady_clock::now();
  recorded_ |= !batch.pieces.empty();
  return absl::OkStatus();
}

bool WorkLog::recorded() const {
  const std::lock_guard lock(mutex_);
  return recorded_;
}

void WorkLog::SetRecorded(bool recorded) {
  const std::lock_guard lock(mutex_);
  recorded_ = recorded;
}

}  // namespace seedlm::server
