// Runs jobs: owns the state of those that wait or run, and hands their work to the workers one
// piece at a time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/registry/registry.h"
#include "server/jobs/job.h"
#include "server/jobs/job_events.h"
#include "server/jobs/job_store.h"
#include "server/log/rarely.h"
#include "server/metrics/metrics.h"
#include "server/scheduler/checkpoint_source.h"
#include "server/scheduler/job_run.h"
#include "server/scheduler/owner_shares.h"
#include "server/scheduler/policy.h"
#include "server/scheduler/rate_table.h"
#include "server/storage/rename_publisher.h"
#include "server/workers/work_list.h"
#include "server/workers/worker_pool.h"

namespace spdlog {
class logger;
}

namespace seedlm::server {

// Which backends exist and how to open one; the composition root gives the registry's functions.
struct BackendDoor {
  std::function<std::vector<backend::BackendInfo>()> list = backend::ListBackends;
  std::function<absl::StatusOr<std::shared_ptr<const backend::Backend>>(std::string_view)> open =
      backend::OpenBackend;
};

struct BackendUse {
  backend::BackendInfo info;
  int workers = 0;  // pieces of work at a time; 0 if it is not available
};

// Beside the workers: jobs that wait for another machine, to begin or to publish, at a time.
inline constexpr int kWaitingThreads = 8;

struct SchedulerOptions {
  int threads = 0;                               // 0: one for each hardware thread
  int64_t shard_weights = kDefaultShardWeights;  // of float32; of 16-bit types twice as many
  // What Shutdown does with jobs that have not ended: false leaves them for the next start, true
  // (embedded server) cancels them.
  bool cancel_on_shutdown = false;
  int max_active_jobs = std::numeric_limits<int>::max();  // that wait or run; see AdmitJob
  int max_owner_jobs = std::numeric_limits<int>::max();   // of one owner
  // How a job's end is stored that the store does not take: again after this time, which doubles
  // up to kMaxStoreRetry, until Shutdown has tried for `store_patience`.
  std::chrono::milliseconds store_retry{100};
  std::chrono::milliseconds store_patience{3000};
  // How long finished pieces that are small may wait to be recorded together; see WorkLog.
  std::chrono::milliseconds commit_interval{100};
  int64_t weights_to_come = 0;                // what a search may count on; 0: those of its job
  int64_t shards_together = kShardsTogether;  // see MemoryPlan
};
inline constexpr std::chrono::milliseconds kMaxStoreRetry{5000};

// Of the jobs that have not ended.
struct SchedulerLoad {
  int queued = 0;
  int running = 0;
  int64_t oldest_queued_ns = 0;  // create time of the queued job that waits longest; 0: none waits
};

class Scheduler : private WorkQueue {
 public:
  struct Parts {  // what is pointed to must outlive the scheduler
    JobStore* store = nullptr;
    JobEvents* events = nullptr;
    const SourceLocator* locator = nullptr;
    BackendDoor backends;
    std::shared_ptr<spdlog::logger> log;  // null: none
    MetricSink* metrics = &NoMetrics();
    PublisherFactory make_publisher = RenamePublisher::Make;
    FaultPoint fault_point = {};
  };
  Scheduler(Parts parts, SchedulerOptions options);
  // Shuts down.
  ~Scheduler() override;

  // Queues again what an earlier server left unfinished (attempt + 1 if it was running) and starts
  // the workers. Call once. Errors: those of the store.
  absl::Status Start();

  // A place among the jobs that wait or run, for one that is not stored yet. Free again when it is
  // destroyed; Enqueue takes it over.
  class Place {
   public:
    Place() : scheduler_(nullptr) {}  // of a job that an earlier server admitted
    Place(Place&& other) noexcept
        : scheduler_(std::exchange(other.scheduler_, nullptr)), owner_(std::move(other.owner_)) {}
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    friend class Scheduler;
    Place(Scheduler* scheduler, std::string owner)
        : scheduler_(scheduler), owner_(std::move(owner)) {}
    Scheduler* scheduler_;
    std::string owner_;
  };
  // RESOURCE_EXHAUSTED as CheckQueue, of all and of the owner's: jobs that wait or run and places
  // given away count.
  absl::StatusOr<Place> AdmitJob(std::string_view owner);

  // `job`: stored, QUEUED. UNAVAILABLE after Shutdown began.
  absl::Status Enqueue(const JobRecord& job, Place place = {});

  // Asks a job to stop, if it has this etag: nothing changes it between the comparison and the
  // effect. False: it neither waits nor runs here, or it was left for the next start. ABORTED as
  // CheckEtag, or an error of the store. Does not wait for the job.
  absl::StatusOr<bool> Cancel(std::string_view name, std::string_view etag);

  // Takes no more work and stops the workers within a fraction of a second; store_patience more
  // where the store does not take how jobs ended. Idempotent, but of two calls at once the second
  // returns early.
  void Shutdown();

  // Jobs that wait or run, or whose end is not stored yet.
  int active_jobs() const;
  SchedulerLoad Load() const;
  int threads() const { return threads_; }
  int64_t shard_weights() const { return options_.shard_weights; }
  int64_t shards_together() const { return options_.shards_together; }
  bool stopping() const;
  std::vector<BackendUse> Backends() const;
  // INVALID_ARGUMENT, FAILED_PRECONDITION as backend::OpenBackend.
  absl::StatusOr<std::shared_ptr<const backend::Backend>> OpenBackend(std::string_view name);
  // Seconds of search on this server; 0 if unknown.
  double EstimateSeconds(std::string_view backend, const codec::Profile& profile, codec::Fit fit,
                         int64_t weights) const;

 private:
  std::optional<Work> Take(std::stop_token stop) override;
  // `piece` and what follows from its end.
  Work Whole(const std::shared_ptr<JobRun>& run, JobRun::Piece piece);
  std::shared_ptr<JobRun> PickLocked() const;  // REQUIRES: mutex_ is held, as for all ..Locked
  void RemoveLocked(const std::shared_ptr<JobRun>& run);  // from jobs_
  void Conclude(const std::shared_ptr<JobRun>& run);
  void StoreEnds(std::stop_token stop);  // of unstored_, until `stop`
  // One attempt for each of unstored_; true: none is left.
  bool TryStoreEnds();
  void StoreLastEnds();  // at Shutdown, for store_patience
  absl::Status Recover();

  const Parts parts_;
  const SchedulerOptions options_;
  const int threads_;
  RateTable rates_;
  std::mutex backends_mutex_;
  // Opened so far; a backend's tables are made once. Guarded by backends_mutex_.
  std::map<std::string, std::shared_ptr<const backend::Backend>, std::less<>> backends_;
  mutable std::mutex mutex_;
  std::condition_variable_any work_ready_;
  std::vector<std::shared_ptr<JobRun>> jobs_;  // in the order of creation; guarded by mutex_
  bool stopping_ = false;                      // guarded by mutex_
  // Given away by AdmitJob: owners, one entry a place. Guarded by mutex_.
  std::multiset<std::string, std::less<>> places_;
  OwnerShares shares_;  // of jobs_; guarded by mutex_
  // Pieces that wait for another machine, and of them those that open a job; guarded by mutex_.
  int waiting_ = 0;
  int opening_ = 0;
  Rarely all_wait_{kWaitsTold};
  std::condition_variable_any end_unstored_;
  // Of jobs_, those whose end the store has not taken yet; guarded by mutex_.
  std::vector<std::shared_ptr<JobRun>> unstored_;
  WorkList waits_;                      // what `waiter_` does
  std::unique_ptr<WorkerPool> waiter_;  // these three last: their threads use all the above
  std::unique_ptr<WorkerPool> pool_;
  std::jthread storer_;
};

}  // namespace seedlm::server
