#include "server/rpc/watch_reactor.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "grpc/support/time.h"
#include "server/errors/reason.h"
#include "server/rpc/guarded.h"
#include "server/rpc/job_conversion.h"
#include "server/rpc/owned_jobs.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::server {
namespace {

using std::chrono::steady_clock;

// Held for one client at most: so many events, and no more of them once they have so many bytes.
constexpr int kBatch = 64;
constexpr size_t kBatchBytes = size_t{64} << 10;

absl::Status Draining() {
  return WithReason(absl::UnavailableError("the server is stopping: watch again when it is back"),
                    "SERVER_DRAINING");
}

absl::Status Cancelled() { return absl::CancelledError("the client has gone"); }

v1::JobEvent EventNow() {
  v1::JobEvent event;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now);
  event.mutable_time()->set_seconds(seconds.count());
  event.mutable_time()->set_nanos(static_cast<int32_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now - seconds).count()));
  return event;
}

bool SameProgress(const Progress& a, const Progress& b) {
  return a.weights_done == b.weights_done && a.shards_done == b.shards_done &&
         a.bytes_written == b.bytes_written && a.tensors_done == b.tensors_done &&
         a.phase == b.phase && a.phase_fraction == b.phase_fraction;
}

}  // namespace

bool WatcherSet::Add(const std::shared_ptr<WatchReactor>& watcher) {
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  // Each addition pays for one sweep of what has ended, but only when the list has doubled.
  if (watchers_.size() == watchers_.capacity()) {
    std::erase_if(watchers_, [](const auto& entry) { return entry.expired(); });
  }
  watchers_.push_back(watcher);
  return true;
}

void WatcherSet::Close() {
  std::vector<std::weak_ptr<WatchReactor>> watchers;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    watchers.swap(watchers_);
  }
  for (const auto& entry : watchers) {
    if (const auto watcher = entry.lock()) watcher->End(Draining());
  }
}

WatchReactor* WatchReactor::Start(Parts parts, const v1::WatchJobRequest& request) {
  std::shared_ptr<WatchReactor> reactor(new WatchReactor(std::move(parts), request));
  reactor->self_ = reactor;
  if (!reactor->parts_.watchers->Add(reactor)) reactor->End(Draining());
  reactor->parts_.pool->Post([reactor] { reactor->Begin(); });
  return reactor.get();
}

void WatchReactor::Begin() {
  // Subscribed before the first look, so that no change falls in between.
  JobEvents::Subscription subscription = parts_.service->Watch(name_, [weak = weak_from_this()] {
    if (const auto reactor = weak.lock()) reactor->OnChange();
  });
  {
    std::lock_guard lock(mutex_);
    subscription_ = std::move(subscription);
  }
  const absl::Status status = Guarded([this] { return TakeSnapshot(); });
  if (!status.ok()) {
    std::lock_guard lock(mutex_);
    pulling_ = false;
    EndLocked(status);
    return;
  }
  Pull();
}

absl::Status WatchReactor::TakeSnapshot() {
  const absl::StatusOr<JobRecord> job = OwnedJobs(*parts_.service, parts_.caller).Get(name_);
  if (!job.ok()) return job.status();
  v1::JobEvent event = EventNow();
  event.set_sequence(job->last_sequence);
  *event.mutable_snapshot() = ToProto(*job);
  std::lock_guard lock(mutex_);
  if (ending_.has_value()) return absl::OkStatus();
  snapshot_sequence_ = job->last_sequence;
  state_ = job->state;
  ready_.push_back(std::move(event));
  return absl::OkStatus();
}

void WatchReactor::Pull() {
  const absl::Status status = Guarded([this] { return ReadBatch(); });
  std::lock_guard lock(mutex_);
  pulling_ = false;
  if (!status.ok()) {
    EndLocked(status);
  } else {
    Step();
  }
}

absl::Status WatchReactor::ReadBatch() {
  int64_t cursor = 0;
  {
    std::lock_guard lock(mutex_);
    changed_ = false;
    cursor = cursor_;
  }
  const absl::StatusOr<EventPage> page =
      parts_.service->ReadEvents(name_, {cursor, kBatch, kBatchBytes});
  if (!page.ok()) return page.status();

  std::lock_guard lock(mutex_);
  if (ending_.has_value() || finished_) return absl::OkStatus();
  for (const JobEvent& event : page->events) {
    cursor_ = event.sequence;
    const auto* change = std::get_if<StateChange>(&event.body);
    if (change != nullptr && event.sequence > snapshot_sequence_) state_ = change->state;
    ready_.push_back(ToProto(event));
  }
  if (page->more) {
    changed_ = true;
  } else if (HasEnded(state_)) {
    ending_ = absl::OkStatus();
  } else {
    quiet_until_ = steady_clock::now() + parts_.options.interval;
    TakeProgress();
  }
  return absl::OkStatus();
}

void WatchReactor::TakeProgress() {
  const std::optional<Progress> progress = parts_.service->LiveProgress(name_);
  if (!progress.has_value()) return;
  if (sent_progress_.has_value() && SameProgress(*sent_progress_, *progress)) return;
  v1::JobEvent event = EventNow();
  *event.mutable_progress() = ToProto(*progress);
  ready_.push_back(std::move(event));
  sent_progress_ = progress;
}

void WatchReactor::Step() {
  if (pulling_ || writing_ || finished_) return;
  if (!ready_.empty()) {
    outgoing_ = std::move(ready_.front());
    ready_.pop_front();
    writing_ = true;
    last_write_ = steady_clock::now();
    StartWrite(&outgoing_);
  } else if (ending_.has_value()) {
    FinishLocked();
  } else if (!changed_) {
    WakeAt(last_write_ + parts_.options.keep_alive);
  } else if (steady_clock::now() >= quiet_until_) {
    Post();
  } else {
    WakeAt(quiet_until_);
  }
}

void WatchReactor::Post() {
  pulling_ = true;
  parts_.pool->Post([reactor = shared_from_this()] { reactor->Pull(); });
}

void WatchReactor::WakeAt(Time time) {
  if (alarm_ != nullptr && alarm_time_ <= time) return;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(time - steady_clock::now());
  const gpr_timespec deadline =
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait.count(), GPR_TIMESPAN));
  // An alarm that is replaced or dropped calls back with false; its callback, which may come after
  // OnDone, keeps the reactor alive.
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_time_ = time;
  alarm_->Set(deadline, [reactor = shared_from_this(), generation = ++alarm_generation_](bool ok) {
    if (ok) reactor->OnAlarm(generation);
  });
}

void WatchReactor::OnAlarm(int64_t generation) {
  std::lock_guard lock(mutex_);
  if (finished_ || generation != alarm_generation_) return;
  alarm_.reset();
  const bool idle = !changed_ && ready_.empty() && !ending_.has_value();
  if (idle && steady_clock::now() >= last_write_ + parts_.options.keep_alive) {
    v1::JobEvent event = EventNow();
    event.mutable_keep_alive();
    ready_.push_back(std::move(event));
  }
  Step();
}

void WatchReactor::OnChange() {
  std::lock_guard lock(mutex_);
  changed_ = true;
  Step();
}

void WatchReactor::OnWriteDone(bool ok) {
  std::lock_guard lock(mutex_);
  writing_ = false;
  if (ok) {
    Step();
  } else {
    EndLocked(Cancelled());
  }
}

void WatchReactor::OnCancel() { End(Cancelled()); }

void WatchReactor::End(absl::Status status) {
  std::lock_guard lock(mutex_);
  EndLocked(std::move(status));
}

void WatchReactor::EndLocked(absl::Status status) {
  ready_.clear();  // the client asks for them again, after the last sequence that it saw
  ending_ = std::move(status);
  Step();
}

void WatchReactor::FinishLocked() {
  finished_ = true;
  subscription_.Reset();
  alarm_.reset();
  parts_.place = {};  // before the client knows: it may come again at once
  Finish(ToGrpcStatus(*ending_));
}

void WatchReactor::OnDone() {
  const std::shared_ptr<WatchReactor> self = std::move(self_);  // may be the last owner
}

}  // namespace seedlm::server
