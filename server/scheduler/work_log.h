// Makes finished work durable: first the bytes, then their rows, several at a time.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "server/errors/fault_point.h"
#include "server/jobs/job_store.h"
#include "server/jobs/job_work.h"

namespace seedlm::server {

// Thread-safe. Of one attempt of a job.
class WorkLog {
 public:
  struct Parts {
    JobStore* store = nullptr;           // outlives the log
    std::function<absl::Status()> sync;  // puts the bytes on disk; one call at a time
    FaultPoint fault_point;
    std::stop_token stop{};  // ends the patience
    // With a store that is UNAVAILABLE, as another program has locked it: threads wait meanwhile.
    std::chrono::milliseconds patience{60'000};
  };
  // `interval`: pieces that took less than this are committed together; 0: every call of Commit
  // commits.
  WorkLog(Parts parts, std::string job, std::chrono::milliseconds interval)
      : parts_(std::move(parts)),
        job_(std::move(job)),
        interval_(interval),
        last_commit_(std::chrono::steady_clock::now() - interval) {}

  // Remembers what will be committed. The bytes of pieces are written.
  void Add(const LevelsRecord& levels);
  void Add(const PieceRecord& piece) { Add(std::span(&piece, 1)); }
  void Add(std::span<const PieceRecord> pieces);  // that were done together
  void Add(const FinishedTensor& tensor);

  // Commits what was added, unless the last commit was less than the interval ago and what was
  // added at a time since took less than that: so what a kill can take, beyond the pieces that run,
  // are such small pieces that were finished within one interval. Threads that come meanwhile wait,
  // and share the next commit. After an error all calls return it.
  absl::Status Commit();
  // Commits everything.
  absl::Status CommitAll();

  // Pieces of the job are in the store: of now, or of an earlier attempt as SetRecorded said.
  bool recorded() const;
  void SetRecorded(bool recorded);

 private:
  absl::Status CommitBatch();  // REQUIRES: commit_mutex_ is held
  absl::Status Record(const WorkBatch& batch) const;
  bool Due() const;

  const Parts parts_;
  const std::string job_;
  const std::chrono::milliseconds interval_;
  std::mutex commit_mutex_;
  absl::Status failure_;  // guarded by commit_mutex_
  mutable std::mutex mutex_;
  WorkBatch batch_;     // guarded by mutex_, as all below
  bool large_ = false;  // pieces of it that were added together took the interval or more
  std::chrono::steady_clock::time_point last_commit_;  // before the first: long ago
  bool recorded_ = false;
};

}  // namespace seedlm::server
