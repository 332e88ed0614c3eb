#include "server/scheduler/scheduler.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "kernels/registry/registry.h"
#include "server/errors/reason.h"
#include "server/log/log_scope.h"
#include "server/scheduler/job_run.h"
#include "server/scheduler/policy.h"

namespace seedlm::server {
namespace {

int ThreadsOf(const SchedulerOptions& options) {
  if (options.threads > 0) return options.threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Scheduler::Parts WithLog(Scheduler::Parts parts) {
  if (parts.log == nullptr) {
    parts.log =
        std::make_shared<spdlog::logger>("none", std::make_shared<spdlog::sinks::null_sink_mt>());
  }
  return parts;
}

}  // namespace

Scheduler::Scheduler(Parts parts, SchedulerOptions options)
    : parts_(WithLog(std::move(parts))), options_(options), threads_(ThreadsOf(options)) {}

Scheduler::~Scheduler() { Shutdown(); }

absl::Status Scheduler::Start() {
  if (absl::Status status = Recover(); !status.ok()) return status;
  WorkQueue& queue = *this;  // a private base: only here can it be seen
  waiter_ = std::make_unique<WorkerPool>(kWaitingThreads, waits_);
  pool_ = std::make_unique<WorkerPool>(threads_, queue);
  storer_ = std::jthread([this](std::stop_token stop) { StoreEnds(std::move(stop)); });
  return absl::OkStatus();
}

absl::Status Scheduler::Recover() {
  absl::StatusOr<std::vector<JobRecord>> unfinished = parts_.store->Unfinished();
  if (!unfinished.ok()) return unfinished.status();
  for (JobRecord& job : *unfinished) {
    if (job.state == JobState::kRunning) {
      Progress progress;
      progress.weights_total = job.estimate.weights;
      absl::StatusOr<JobRecord> queued =
          parts_.store->Update(job.name, {JobState::kQueued, progress, {}, {}});
      if (!queued.ok()) return queued.status();
      job = *std::move(queued);
      if (parts_.log != nullptr) {
        const LogScope scope({{"job", job.name}, {"owner", job.request.owner}});
        parts_.log->info("was running when an earlier server ended: queued again");
      }
      Reach(parts_.fault_point, "recover.queued");
    }
    if (absl::Status status = Enqueue(job); !status.ok()) return status;
  }
  return absl::OkStatus();
}

Scheduler::Place::~Place() {
  if (scheduler_ == nullptr) return;
  const std::lock_guard lock(scheduler_->mutex_);
  scheduler_->places_.erase(scheduler_->places_.find(owner_));
}

absl::StatusOr<Scheduler::Place> Scheduler::AdmitJob(std::string_view owner) {
  const std::lock_guard lock(mutex_);
  // Whoever sees that a job has ended may count on its place.
  int64_t active = static_cast<int64_t>(places_.size());
  int64_t of_owner = static_cast<int64_t>(places_.count(owner));
  for (const auto& run : jobs_) {
    if (run->ended()) continue;
    ++active;
    if (run->owner() == owner) ++of_owner;
  }
  absl::Status status = CheckQueue(active, options_.max_active_jobs);
  if (status.ok()) status = CheckOwnerQueue(of_owner, options_.max_owner_jobs);
  if (!status.ok()) return status;
  places_.emplace(owner);
  return Place(this, std::string(owner));
}

absl::Status Scheduler::Enqueue(const JobRecord& job, Place place) {
  const RunContext context{
      .store = parts_.store,
      .events = parts_.events,
      .locator = parts_.locator,
      .rates = &rates_,
      .log = parts_.log.get(),
      .metrics = parts_.metrics,
      .open_backend = [this](std::string_view name) { return OpenBackend(name); },
      .shard_weights = options_.shard_weights,
      .workers = threads_,
      .shards_together = options_.shards_together,
      .commit_interval = options_.commit_interval,
      .weights_to_come = options_.weights_to_come,
      .make_publisher = parts_.make_publisher,
      .fault_point = parts_.fault_point};
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      return WithReason(absl::UnavailableError("the server is stopping; retry when it is back"),
                        "SERVER_DRAINING");
    }
    jobs_.push_back(std::make_shared<JobRun>(job, context));
    shares_.Enter(job.request.owner);
    if (std::exchange(place.scheduler_, nullptr) != nullptr) {
      places_.erase(places_.find(place.owner_));
    }
  }
  work_ready_.notify_all();
  return absl::OkStatus();
}

std::shared_ptr<JobRun> Scheduler::PickLocked() const {
  std::vector<JobView> views;
  views.reserve(jobs_.size());
  int64_t order = 0;  // jobs are queued in the order of their creation
  // A worker that finds nothing better opens a job: no more of them are opened ahead.
  const JobRun::Room room{waiting_ < kWaitingThreads && opening_ < threads_,
                          waiting_ < kWaitingThreads};
  for (const auto& run : jobs_) {
    views.push_back({run->priority(), order++, run->HasWork(room), shares_.Served(run->owner())});
  }
  const std::optional<size_t> pick = PickJob(views);
  return pick.has_value() ? jobs_[*pick] : nullptr;
}

std::optional<Work> Scheduler::Take(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stopping_ && !stop.stop_requested()) {
    std::shared_ptr<JobRun> run = PickLocked();
    if (run == nullptr) {
      work_ready_.wait(lock, stop, [this] { return stopping_ || PickLocked() != nullptr; });
      continue;
    }
    std::optional<JobRun::Piece> piece = run->Take();
    if (!piece.has_value()) continue;
    if (!piece->waits) return Whole(run, *std::move(piece));
    ++waiting_;
    opening_ += piece->opens;
    if (waiting_ == kWaitingThreads && all_wait_.Happened().has_value()) {
      parts_.log->warn(
          "{} jobs are being opened or published at S3, as many as can be at a time: further ones "
          "wait for their turn; told once in ten minutes",
          kWaitingThreads);
    }
    waits_.Add(Whole(run, *std::move(piece)));
  }
  return std::nullopt;
}

Work Scheduler::Whole(const std::shared_ptr<JobRun>& run, JobRun::Piece piece) {
  return [this, run, piece = std::move(piece)] {
    const auto begin = std::chrono::steady_clock::now();
    piece.work();
    const std::chrono::nanoseconds taken = std::chrono::steady_clock::now() - begin;
    if (run->ClaimEnd()) Conclude(run);
    {
      const std::lock_guard changed(mutex_);  // no waiter is between its look and its sleep
      if (piece.waits) {                      // which takes nothing from anybody
        --waiting_;
        opening_ -= piece.opens;
      } else {
        shares_.Charge(run->owner(), taken.count());
      }
    }
    work_ready_.notify_all();
  };
}

void Scheduler::RemoveLocked(const std::shared_ptr<JobRun>& run) {
  std::erase(jobs_, run);
  shares_.Leave(run->owner());
}

void Scheduler::Conclude(const std::shared_ptr<JobRun>& run) {
  const bool stored = run->Conclude();
  const std::lock_guard lock(mutex_);
  if (stored) {
    RemoveLocked(run);
  } else {
    unstored_.push_back(run);
    end_unstored_.notify_all();
  }
}

bool Scheduler::TryStoreEnds() {
  std::vector<std::shared_ptr<JobRun>> runs;
  {
    const std::lock_guard lock(mutex_);
    runs = unstored_;
  }
  for (const auto& run : runs) {
    if (!run->StoreEnd()) continue;
    const std::lock_guard lock(mutex_);
    std::erase(unstored_, run);
    RemoveLocked(run);
  }
  const std::lock_guard lock(mutex_);
  return unstored_.empty();
}

void Scheduler::StoreEnds(std::stop_token stop) {
  const auto never = [] { return false; };
  std::chrono::milliseconds wait = options_.store_retry;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mutex_);
      end_unstored_.wait(lock, stop, [this] { return !unstored_.empty(); });
      end_unstored_.wait_for(lock, stop, wait, never);
    }
    if (stop.stop_requested()) return;  // Shutdown goes on
    wait = TryStoreEnds() ? options_.store_retry : std::min(2 * wait, kMaxStoreRetry);
  }
}

void Scheduler::StoreLastEnds() {
  const auto deadline = std::chrono::steady_clock::now() + options_.store_patience;
  while (!TryStoreEnds() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::min(options_.store_retry, options_.store_patience));
  }
  const std::lock_guard lock(mutex_);
  for (const auto& run : unstored_) {
    const LogScope scope({{"job", run->name()}});
    parts_.log->error(
        "the store did not take how it ended; the next start runs it again, and finds its "
        "output there if it was published");
  }
}

absl::StatusOr<bool> Scheduler::Cancel(std::string_view name, std::string_view etag) {
  std::shared_ptr<JobRun> run;
  {
    const std::lock_guard lock(mutex_);
    // A job that was resumed may be here twice for a moment: its last attempt counts.
    const auto it = std::find_if(jobs_.rbegin(), jobs_.rend(),
                                 [&](const auto& other) { return other->name() == name; });
    if (it == jobs_.rend()) return false;
    run = *it;
  }
  const absl::StatusOr<bool> asked = run->RequestCancel(etag);
  if (!asked.ok() || !*asked) return asked;
  if (run->ClaimEnd()) Conclude(run);  // it had not started
  return true;
}

void Scheduler::Shutdown() {
  std::vector<std::shared_ptr<JobRun>> runs;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    runs = jobs_;
  }
  for (const auto& run : runs) {
    run->RequestStop(options_.cancel_on_shutdown ? StopReason::kCancelled : StopReason::kShutdown);
  }
  work_ready_.notify_all();
  pool_.reset();  // it hands over to the next
  waiter_.reset();
  storer_ = {};
  for (const auto& run : runs) {
    if (run->ClaimEnd()) Conclude(run);
  }
  StoreLastEnds();
}

int Scheduler::active_jobs() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(jobs_.size());
}

SchedulerLoad Scheduler::Load() const {
  const std::lock_guard lock(mutex_);
  SchedulerLoad load;
  for (const auto& run : jobs_) {
    if (run->ended()) continue;
    ++(run->waiting() ? load.queued : load.running);
    if (!run->waiting()) continue;
    const int64_t since = run->create_time_ns();
    if (load.oldest_queued_ns == 0 || since < load.oldest_queued_ns) load.oldest_queued_ns = since;
  }
  return load;
}

bool Scheduler::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

std::vector<BackendUse> Scheduler::Backends() const {
  std::vector<BackendUse> uses;
  for (backend::BackendInfo& info : parts_.backends.list()) {
    const int workers = info.available ? threads_ : 0;
    uses.push_back({std::move(info), workers});
  }
  return uses;
}

absl::StatusOr<std::shared_ptr<const backend::Backend>> Scheduler::OpenBackend(
    std::string_view name) {
  const std::string key(name.empty() ? "auto" : name);
  const std::lock_guard lock(backends_mutex_);
  if (const auto it = backends_.find(key); it != backends_.end()) {
    if (it->second->Health().ok()) return it->second;
    backends_.erase(it);  // the registry says why
  }
  auto opened = parts_.backends.open(key);
  if (!opened.ok()) {
    return WithReason(
        opened.status(),
        absl::IsInvalidArgument(opened.status()) ? "BACKEND_UNKNOWN" : "BACKEND_UNAVAILABLE",
        {{"field", "job.spec.backend"}});
  }
  return backends_.emplace(key, *std::move(opened)).first->second;
}

double Scheduler::EstimateSeconds(std::string_view backend, const codec::Profile& profile,
                                  codec::Fit fit, int64_t weights) const {
  const int64_t blocks = std::max<int64_t>(1, weights / profile.block);
  const double scans =
      backend::PlannedScans(backend, profile, blocks) / static_cast<double>(blocks);
  const double rate = rates_.WeightsPerSecond(backend, profile, fit, threads_, scans);
  return rate > 0 ? static_cast<double>(weights) / rate : 0;
}

}  // namespace seedlm::server
