// One job from its first piece of work to its last.
//
//   open     headers, plan, backend, output files; what an earlier attempt recorded
//   measure  every compressed tensor: block norms -> levels (for which a sample of its blocks is
//            encoded); a weight that is not finite ends the job here, before any shard is encoded
//   stream   shards are encoded, a few at a time, written and recorded as they come (work_log.h);
//            tensors that pass through are copied; what is recorded is checked instead
//   commit   sync, sums of the files, a record of the intent, the final name
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
#include "server/log/rarely.h"
#include "server/metrics/metrics.h"
#include "server/scheduler/checkpoint_source.h"
#include "server/scheduler/policy.h"
#include "server/scheduler/rate_table.h"
#include "server/scheduler/tensor_run.h"
#include "server/scheduler/work_identity.h"
#include "server/scheduler/work_log.h"
#include "server/storage/checkpoint_sink.h"
#include "server/storage/publisher.h"
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
  int64_t workers = 1;
  int64_t shards_together = kShardsTogether;
  std::chrono::milliseconds commit_interval{0};  // see WorkLog
  int64_t weights_to_come = 0;                   // see SchedulerOptions
  PublisherFactory make_publisher;
  FaultPoint fault_point;
};

enum class StopReason : uint8_t {
  kNone,
  kCancelled,  // becomes CANCELLED
  kShutdown,   // stays as it is in the store, for the next server
};

// A job that waits for S3 again and again says so once in so long.
inline constexpr std::chrono::minutes kWaitsTold{10};

// Thread-safe. The pieces of work hold a plain pointer to the run: who runs them keeps it alive.
class JobRun {
 public:
  JobRun(JobRecord job, const RunContext& context);

  const std::string& name() const { return job_.name; }
  const std::string& owner() const { return job_.request.owner; }
  int priority() const { return job_.request.priority; }
  int64_t create_time_ns() const { return job_.create_time_ns; }

  // No piece of it has been taken yet.
  bool waiting() const;
  // Whether a piece that waits for another machine can be taken on, by its kind.
  struct Room {
    bool to_open = true;
    bool to_publish = true;
  };
  struct Piece {
    Work work;
    bool waits = false;  // for another machine: not for a thread that has something to compute
    bool opens = false;  // it is the first one
  };
  // A piece can be taken now.
  bool HasWork(const Room& room) const;
  // The next piece; none if there is none after all.
  std::optional<Piece> Take();

  // Pieces that run stop soon, no more are handed out. Of the reasons, kCancelled counts: who
  // cancels a job of a server that is stopping does not want it back. False: too late, the job was
  // left for the next start, or how it ended is stored.
  bool RequestStop(StopReason reason);
  // As RequestStop(kCancelled), but of a job that has this etag in the store, and has not ended
  // there: the run stores no change of it between the look and the effect. ABORTED as CheckEtag;
  // the errors of the store.
  absl::StatusOr<bool> RequestCancel(std::string_view etag);

  // ClaimEnd() was true.
  bool ended() const;
  // True once, when no piece runs and none will: the caller has to conclude the job.
  bool ClaimEnd();
  // Keeps what is recorded of an unfinished job, removes what nothing is recorded of, and stores
  // how the job ended, if it did. False: the store did not take it; the job stays as it is there
  // until StoreEnd succeeds. REQUIRES: ClaimEnd() was true.
  bool Conclude();
  // Stores how the job ended, once more. True: the store has it, or never will. One thread at a
  // time. REQUIRES: Conclude() was false.
  bool StoreEnd();

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  enum class Phase : uint8_t { kQueued, kOpen, kMeasure, kStream, kCommit, kDone };

  // A shard that was handed out.
  struct TakenShard {
    TensorRun* tensor;
    TensorRun::Shard shard;
  };
  // The pieces of a tensor that passes through.
  struct Copy {
    int64_t id = 0;  // index into CompressionPlan::tensors
    const format::PlannedTensor* tensor = nullptr;
    Pieces pieces;
    int64_t next = 0;
    int64_t done = 0;
  };

  // One function for each kind of piece; called without the lock.
  absl::Status Open();
  absl::Status Measure(TensorRun& tensor, const TensorRows& rows);
  absl::Status Stream(const std::vector<TakenShard>& shards);
  void Warn(const std::string& warning) const;  // in the log and among the job's events
  void WaitsForS3(const std::string& cause);    // warns, rarely
  void CountShard(const TakenShard& taken, const ShardSums& sums) const;
  absl::Status CopyPiece(Copy& copy, int64_t piece);
  absl::Status Commit();
  // `status`, about the tensor and its file, see format::About.
  absl::Status OfTensor(absl::Status status, const format::TensorInfo& tensor, size_t file) const;
  // Parts of them.
  absl::StatusOr<bool> WasPublished(const Publication& publication);
  void EndPublished(const Publication& publication);
  absl::Status OpenPlanned(std::unique_ptr<const PlannedJob> planned);
  // Whether recorded work of this identity is there to go on with; otherwise it begins anew.
  absl::StatusOr<bool> TakeUpWork(const WorkIdentity& identity);
  static std::string NumberOf(const TakenShard& taken);  // "2/7"
  bool IsKept(const TakenShard& taken);
  absl::Status Encode(const std::vector<TakenShard>& shards);
  PieceRecord RecordOf(const TakenShard& taken, const ShardSums& sums);
  void RecordRate(const std::vector<TakenShard>& shards,
                  const std::vector<absl::StatusOr<ShardSums>>& sums);
  absl::Status TryAgain(const std::shared_ptr<const backend::Backend>& backend,
                        const std::vector<const TakenShard*>& lost, absl::Status why);
  absl::Status AddShard(const TakenShard& taken, const PieceRecord& piece, bool kept);
  absl::StatusOr<codec::LevelTable> ChooseLevels(const TensorRun& tensor,
                                                 const codec::NormHistogram& norms);
  // Of a backend that said UNAVAILABLE: OK if `what` of the tensor may be tried again, which is a
  // warning. If it has lost all its devices, it is opened anew.
  absl::Status CheckTryAgain(const std::shared_ptr<const backend::Backend>& backend,
                             const TensorRun& tensor, const std::string& what, int attempt,
                             absl::Status status);
  void GiveBack(const TakenShard& taken);
  std::shared_ptr<const backend::Backend> Backend() const;
  absl::Status FinishTensor(TensorRun& tensor);
  bool IsIntact(const std::string& tensor, const PieceRecord& recorded,
                const absl::StatusOr<uint32_t>& crc32c);
  absl::StatusOr<std::unique_ptr<Publisher>> MakePublisher() const;
  void DropStaged();
  void SetPublished(int64_t done, int64_t total);
  Work Guarded(std::function<absl::Status()> piece);

  // REQUIRES: mutex_ is held.
  bool HasWorkLocked() const;
  Piece TakeLocked();
  Work TakeMeasureLocked();
  Work TakeStreamLocked();
  void StartStreamLocked();
  void StartPhaseLocked(Phase phase);
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

  Rarely s3_waits_{kWaitsTold};

  // Set by Open, constant until Conclude.
  std::unique_ptr<const PlannedJob> planned_;
  std::unique_ptr<CheckpointSink> sink_;
  std::optional<JobWork> work_;     // read from the store
  bool publication_known_ = false;  // whether an earlier attempt published the output
  WorkLog log_;

  // Held while the run changes the state of the job in the store, and while a cancellation compares
  // it; before mutex_.
  std::mutex state_mutex_;
  mutable std::mutex mutex_;  // guards all below
  Phase phase_ = Phase::kQueued;
  int in_flight_ = 0;
  bool ended_ = false;
  StopReason stop_reason_ = StopReason::kNone;
  std::shared_ptr<const backend::Backend> backend_;  // from Open on
  absl::Status failure_;
  bool succeeded_ = false;
  std::vector<OutputFile> output_files_;
  std::vector<std::unique_ptr<TensorRun>> tensors_;  // compressed ones, in the plan's order
  std::vector<Copy> copies_;
  size_t cursor_ = 0;              // first tensor with pieces to hand out in this phase
  size_t copy_cursor_ = 0;         // as cursor_, of copies_
  size_t unmeasured_ = 0;          // tensors without levels
  int64_t bytes_to_hand_out_ = 0;  // of the source, of shards
  int64_t pieces_left_ = 0;        // shards and pieces of copies, not finished
  int64_t pieces_total_ = 0;
  int64_t measures_left_ = 0;  // pieces of kMeasure, not finished
  int64_t measures_total_ = 0;
  double published_ = 0;  // share of kCommit that is done
  Progress progress_;
  int64_t weights_kept_ = 0;  // of progress_.weights_done, those that an earlier attempt encoded
  int64_t pieces_kept_ = 0;
  // When the first shard was handed out, and when the last piece of kStream was finished.
  std::optional<SteadyTime> stream_begin_, stream_end_;
  bool left_for_restart_ = false;  // concluded, and not ended
  bool end_stored_ = false;        // or never will be: the job is in other hands
  JobUpdate ending_;               // how it ended; constant after Conclude
};

}  // namespace seedlm::server
