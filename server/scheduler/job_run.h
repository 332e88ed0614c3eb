// One job from its first piece of work to its last.
//
//   open     headers, plan, backend, output files
//   measure  every compressed tensor: block norms -> levels (for which a sample of its blocks is
//            encoded); a weight that is not finite ends the job here, before any shard is encoded
//   stream   shards are encoded and written as they come; tensors that pass through are copied
//   commit   sync, sums of the files, the final name
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "server/jobs/job.h"
#include "server/jobs/job_events.h"
#include "server/jobs/job_store.h"
#include "server/metrics/metrics.h"
#include "server/scheduler/checkpoint_source.h"
#include "server/scheduler/rate_table.h"
#include "server/scheduler/tensor_run.h"
#include "server/storage/checkpoint_sink.h"
#include "server/workers/worker_pool.h"

namespace spdlog {
class logger;
}

namespace seedlm::server {

// What a run needs of the server; all outlive it.
struct RunContext {
  JobStore* store = nullptr;
  JobEvents* events = nullptr;
  const SourceLocator* locator = nullptr;
  RateTable* rates = nullptr;
  spdlog::logger* log = nullptr;
  MetricSink* metrics = nullptr;
  std::function<absl::StatusOr<std::shared_ptr<const backend::Backend>>(std::string_view)>
      open_backend;
  int64_t shard_weights = 0;
};

enum class StopReason : uint8_t {
  kNone,
  kCancelled,  // becomes CANCELLED
  kShutdown,   // stays as it is in the store, for the next server
};

// Thread-safe. The pieces of work hold a plain pointer to the run: who runs them keeps it alive.
class JobRun {
 public:
  JobRun(JobRecord job, const RunContext& context);

  const std::string& name() const { return job_.name; }
  int priority() const { return job_.request.priority; }
  int64_t create_time_ns() const { return job_.create_time_ns; }

  // No piece of it has been taken yet.
  bool waiting() const;
  // A piece can be taken now.
  bool HasWork() const;
  // The next piece; none if there is none after all.
  std::optional<Work> Take();

  // Pieces that run stop soon, no more are handed out. Of the reasons, kCancelled counts: who
  // cancels a job of a server that is stopping does not want it back. False: too late, the job was
  // left for the next start.
  bool RequestStop(StopReason reason);

  // ClaimEnd() was true.
  bool ended() const;
  // True once, when no piece runs and none will: the caller has to conclude the job.
  bool ClaimEnd();
  // Removes what is unfinished and stores how the job ended, if it did. False: the store did not
  // take it; the job stays as it is there until StoreEnd succeeds. REQUIRES: ClaimEnd() was true.
  bool Conclude();
  // Stores how the job ended, once more. True: the store has it, or never will. One thread at a
  // time. REQUIRES: Conclude() was false.
  bool StoreEnd();

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  enum class Phase : uint8_t { kQueued, kOpen, kMeasure, kStream, kCommit, kDone };

  // The 16 MiB pieces of a tensor that passes through.
  struct Copy {
    const format::PlannedTensor* tensor = nullptr;
    Pieces pieces;
    int64_t next = 0;
  };

  // One function for each kind of piece; called without the lock.
  absl::Status Open();
  absl::Status Measure(TensorRun& tensor, const TensorRows& rows);
  absl::Status Encode(TensorRun& tensor, const TensorRun::Shard& shard);
  void CountShard(const TensorRun& tensor, const TensorRun::Shard& shard,
                  const ShardSums& sums) const;
  absl::Status FinishTensor(TensorRun& tensor);
  absl::Status CopyPiece(const format::PlannedTensor& tensor, uint64_t offset, uint64_t length);
  absl::Status Commit();
  void SetPublished(int64_t done, int64_t total);
  Work Guarded(std::function<absl::Status()> piece);

  // REQUIRES: mutex_ is held.
  bool HasWorkLocked() const;
  Work TakeMeasureLocked();
  Work TakeStreamLocked();
  void StartStreamLocked();
  void PieceDoneLocked();
  Progress ProgressLocked() const;
  double PhaseFractionLocked() const;
  double StreamSecondsLocked() const;
  JobUpdate EndingLocked() const;
  void LogEnd() const;  // after Conclude: counts it, too

  const JobRecord job_;
  const RunContext context_;
  const ResultReservation reservation_;
  std::stop_source stop_;

  // Set by Open, constant until Conclude.
  std::unique_ptr<const PlannedJob> planned_;
  std::shared_ptr<const backend::Backend> backend_;
  std::unique_ptr<CheckpointSink> sink_;

  mutable std::mutex mutex_;  // guards all below
  Phase phase_ = Phase::kQueued;
  int in_flight_ = 0;
  bool ended_ = false;
  StopReason stop_reason_ = StopReason::kNone;
  absl::Status failure_;
  bool succeeded_ = false;
  std::vector<OutputFile> output_files_;
  std::vector<std::unique_ptr<TensorRun>> tensors_;  // compressed ones, in the plan's order
  std::vector<Copy> copies_;
  size_t cursor_ = 0;        // first tensor with pieces to hand out in this phase
  size_t copy_cursor_ = 0;   // as cursor_, of copies_
  size_t unmeasured_ = 0;    // tensors without levels
  int64_t pieces_left_ = 0;  // of kStream, not finished
  int64_t pieces_total_ = 0;
  int64_t measures_left_ = 0;  // pieces of kMeasure, not finished
  int64_t measures_total_ = 0;
  double published_ = 0;  // share of kCommit that is done
  Progress progress_;
  // When the first shard was handed out, and when the last piece of kStream was finished.
  std::optional<SteadyTime> stream_begin_, stream_end_;
  bool left_for_restart_ = false;  // concluded, and not ended
  JobUpdate ending_;               // how it ended; constant after Conclude
};

}  // namespace seedlm::server
