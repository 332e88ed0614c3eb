// One WatchJob stream: pulls a job's events from the store and writes them, in order, to its
// client.
//
// Nothing is pushed to a watcher but "something changed". It holds at most one batch of events and
// one message in flight, both bounded, so a slow client costs little memory, and its place among
// the owner's watches bounds how often; and it needs no thread while it waits.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "grpcpp/alarm.h"
#include "grpcpp/support/server_callback.h"
#include "seedlm/v1/compression_service.grpc.pb.h"
#include "server/admission/owner_gate.h"
#include "server/auth/caller.h"
#include "server/jobs/job_events.h"
#include "server/rpc/work_pool.h"
#include "server/scheduler/job_service.h"

namespace seedlm::server {

class WatchReactor;

// The open streams, so that a draining server can end them. Thread-safe.
class WatcherSet {
 public:
  // False: the set is closed, the stream must end at once.
  bool Add(const std::shared_ptr<WatchReactor>& watcher);
  // Ends all streams, and those that would follow, with UNAVAILABLE.
  void Close();

 private:
  std::mutex mutex_;
  bool closed_ = false;                                // guarded by mutex_
  std::vector<std::weak_ptr<WatchReactor>> watchers_;  // guarded by mutex_
};

struct WatchOptions {
  // Between two looks at the store while a job is busy: at most 5 progress messages a second.
  std::chrono::milliseconds interval{200};
  std::chrono::milliseconds keep_alive{15'000};
};

class WatchReactor final : public grpc::ServerWriteReactor<v1::JobEvent>,
                           public std::enable_shared_from_this<WatchReactor> {
 public:
  struct Parts {  // all must outlive the gRPC server
    JobService* service = nullptr;
    WorkPool* pool = nullptr;
    WatcherSet* watchers = nullptr;
    WatchOptions options;
    Caller caller = {};
    OwnerGate::Place place = {};  // among the owner's watches, until the end
  };
  // Begins a stream; it owns itself until gRPC is done with it.
  static WatchReactor* Start(Parts parts, const v1::WatchJobRequest& request);

  // Ends the stream with `status`, after the message in flight. Thread-safe.
  void End(absl::Status status);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  using Time = std::chrono::steady_clock::time_point;

  WatchReactor(Parts parts, const v1::WatchJobRequest& request)
      : parts_(std::move(parts)), name_(request.name()), cursor_(request.after_sequence()) {}

  // On the pool: the snapshot and the first batch, then batch after batch.
  void Begin();
  void Pull();
  absl::Status TakeSnapshot();
  absl::Status ReadBatch();
  void TakeProgress();

  void OnChange();
  void OnAlarm(int64_t generation);

  // REQUIRES for all: mutex_ is held.
  void Step();  // does the next thing that there is to do, unless something is under way
  void Post();
  void WakeAt(Time time);
  void EndLocked(absl::Status status);
  void FinishLocked();

  Parts parts_;  // constant, but for the place
  const std::string name_;
  std::shared_ptr<WatchReactor> self_;  // until OnDone

  std::mutex mutex_;  // guards all below
  int64_t cursor_;    // the last numbered event that was taken from the store
  int64_t snapshot_sequence_ = 0;
  JobState state_ = JobState::kQueued;
  bool changed_ = true;   // the store may hold events after the cursor
  bool pulling_ = true;   // a task is on the pool
  bool writing_ = false;  // `outgoing_` belongs to gRPC
  bool finished_ = false;
  std::optional<absl::Status> ending_;  // finish with it once `ready_` is written
  std::deque<v1::JobEvent> ready_;
  v1::JobEvent outgoing_;
  std::optional<Progress> sent_progress_;
  Time quiet_until_{};  // no look at the store before
  Time last_write_{};
  JobEvents::Subscription subscription_;
  std::unique_ptr<grpc::Alarm> alarm_;
  Time alarm_time_{};
  int64_t alarm_generation_ = 0;
};

}  // namespace seedlm::server
