// Runs jobs: owns the state of those that wait or run, and hands their work to the workers one
// piece at a time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/registry/registry.h"
#include "server/jobs/job.h"
#include "server/jobs/job_events.h"
#include "server/jobs/job_store.h"
#include "server/scheduler/checkpoint_source.h"
#include "server/scheduler/rate_table.h"
#include "server/workers/worker_pool.h"

namespace spdlog {
class logger;
}

namespace seedlm::server {

class JobRun;

// Which backends exist and how to open one; the composition root gives the registry's functions.
struct BackendDoor {
  std::function<std::vector<backend::BackendInfo>()> list = backend::ListBackends;
  std::function<absl::StatusOr<std::shared_ptr<const backend::Backend>>(std::string_view)> open =
      backend::OpenBackend;
};

struct BackendUse {
  backend::BackendInfo info;
  int workers = 0;  // shards at a time; 0 if it is not available
};

// 16 MiB of float32, half a million blocks: enough of them share the cells of the search's index.
inline constexpr int64_t kDefaultShardWeights = int64_t{1} << 22;

struct SchedulerOptions {
  int threads = 0;  // 0: one for each hardware thread
  int64_t shard_weights = kDefaultShardWeights;
  // What Shutdown does with jobs that have not ended: false leaves them for the next start, true
  // (embedded server) cancels them.
  bool cancel_on_shutdown = false;
};

class Scheduler : private WorkQueue {
 public:
  struct Parts {  // what is pointed to must outlive the scheduler
    JobStore* store = nullptr;
    JobEvents* events = nullptr;
    const SourceLocator* locator = nullptr;
    BackendDoor backends;
    Clock clock;
    std::shared_ptr<spdlog::logger> log;  // null: none
  };
  Scheduler(Parts parts, SchedulerOptions options);
  // Shuts down.
  ~Scheduler() override;

  // Queues again what an earlier server left unfinished (attempt + 1 if it was running), removes
  // what that left on disk, and starts the workers. Call once. Errors: those of the store.
  absl::Status Start();

  // `job`: stored, QUEUED. UNAVAILABLE after Shutdown began.
  absl::Status Enqueue(const JobRecord& job);

  // Asks a job to stop; false: it neither waits nor runs here. Does not wait.
  bool Cancel(std::string_view name);

  // Takes no more work and stops the workers within a fraction of a second. Idempotent, but of two
  // calls at once the second returns early.
  void Shutdown();

  int active_jobs() const;
  int threads() const { return threads_; }
  bool stopping() const;
  std::vector<BackendUse> Backends() const;
  // INVALID_ARGUMENT, FAILED_PRECONDITION as backend::OpenBackend.
  absl::StatusOr<std::shared_ptr<const backend::Backend>> OpenBackend(std::string_view name);
  // Seconds of search on this server; 0 if unknown.
  double EstimateSeconds(std::string_view backend, const codec::Profile& profile, codec::Fit fit,
                         int64_t weights) const;

 private:
  std::optional<Work> Take(std::stop_token stop) override;
  std::shared_ptr<JobRun> PickLocked() const;  // REQUIRES: mutex_ is held
  void Conclude(JobRun& run);
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
  std::unique_ptr<WorkerPool> pool_;           // last: its threads use all the above
};

}  // namespace seedlm::server
