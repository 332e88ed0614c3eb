// JobRun: how it ends, and what it says of itself until then.
#include <spdlog/logger.h>

#include <exception>

#include "server/errors/reason.h"
#include "server/log/log_scope.h"
#include "server/scheduler/job_run.h"

namespace seedlm::server {

bool JobRun::RequestStop(StopReason reason) {
  const std::lock_guard lock(mutex_);
  if (left_for_restart_ || end_stored_) return false;
  if (failure_.ok() && stop_reason_ != StopReason::kCancelled) stop_reason_ = reason;
  stop_.request_stop();
  if (phase_ != Phase::kQueued && !ended_) context_.events->SetProgress(name(), ProgressLocked());
  return true;
}

absl::StatusOr<bool> JobRun::RequestCancel(std::string_view etag) {
  {
    const std::lock_guard change(state_mutex_);
    const absl::StatusOr<JobRecord> job = context_.store->Get(name());
    if (!job.ok()) return job.status();
    if (absl::Status status = CheckEtag(*job, etag); !status.ok()) return status;
    if (HasEnded(job->state) || !RequestStop(StopReason::kCancelled)) return false;
  }
  context_.events->Notify(name());
  return true;
}

bool JobRun::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

bool JobRun::ClaimEnd() {
  const std::lock_guard lock(mutex_);
  if (ended_ || in_flight_ > 0) return false;
  ended_ = phase_ == Phase::kDone || stop_.stop_requested();
  return ended_;
}

double JobRun::PhaseFractionLocked() const {
  const auto share = [](int64_t left, int64_t total) {
    return total > 0 ? 1 - static_cast<double>(left) / static_cast<double>(total) : 0;
  };
  switch (phase_) {
    case Phase::kMeasure:
      return share(measures_left_, measures_total_);
    case Phase::kStream:
      return share(pieces_left_, pieces_total_);
    case Phase::kCommit:
      return published_;
    default:
      return 0;
  }
}

double JobRun::StreamSecondsLocked() const {
  if (!stream_begin_.has_value()) return 0;
  const SteadyTime end = stream_end_.value_or(std::chrono::steady_clock::now());
  return std::chrono::duration<double>(end - *stream_begin_).count();
}

Progress JobRun::ProgressLocked() const {
  Progress progress = progress_;
  progress.weights_kept = weights_kept_;
  if (sink_ != nullptr) progress.bytes_written = sink_->bytes_written();
  progress.phase = stop_reason_ == StopReason::kCancelled ? JobPhase::kCancelling
                   : phase_ == Phase::kMeasure            ? JobPhase::kMeasuring
                   : phase_ == Phase::kStream             ? JobPhase::kEncoding
                   : phase_ == Phase::kCommit             ? JobPhase::kPublishing
                                                          : JobPhase::kNone;
  progress.phase_fraction = PhaseFractionLocked();
  const double seconds = StreamSecondsLocked();
  if (seconds > 0 && progress.weights_done > weights_kept_) {
    progress.weights_per_second =
        static_cast<double>(progress.weights_done - weights_kept_) / seconds;
    progress.eta_seconds = static_cast<double>(progress.weights_total - progress.weights_done) /
                           progress.weights_per_second;
  }
  return progress;
}

JobUpdate JobRun::EndingLocked() const {
  JobUpdate update;
  update.progress = ProgressLocked();
  update.progress.eta_seconds = 0;
  update.progress.phase = JobPhase::kNone;
  update.progress.phase_fraction = 0;
  if (succeeded_) {
    update.to = JobState::kSucceeded;
    update.output_files = output_files_;
  } else if (failure_.ok()) {
    update.to = JobState::kCancelled;
  } else {
    update.to = JobState::kFailed;
    const auto told = [this](absl::string_view text) {
      return context_.locator->WithoutDataDir(job_.request, text);
    };
    update.error = {failure_.code(), told(failure_.message()), ReasonOf(failure_),
                    DetailsOf(failure_)};
    for (auto& [key, value] : update.error.details) value = told(value);
  }
  return update;
}

bool JobRun::Conclude() {
  const LogScope scope({{"job", name()}, {"owner", job_.request.owner}});
  {
    const std::lock_guard lock(mutex_);
    ending_ = EndingLocked();
    left_for_restart_ = ending_.to == JobState::kCancelled && stop_reason_ == StopReason::kShutdown;
    tensors_.clear();
    copies_.clear();
  }
  DropStaged();  // first: a full disk has room again before the end is stored
  planned_.reset();
  if (!left_for_restart_) return StoreEnd();
  context_.events->ClearProgress(name());
  context_.log->info("left for the next start");
  return true;
}

void JobRun::LogEnd() const {
  context_.metrics->Add(Metric::kJobsEnded, {Name(ending_.to)}, 1);
  if (ending_.to == JobState::kFailed) {
    const JobError& error = ending_.error;
    const std::string reason =
        error.reason.empty() ? absl::StatusCodeToString(error.code) : error.reason;
    context_.metrics->Add(Metric::kJobFailures, {reason}, 1);
    context_.log->warn("failed: {}", std::string(failure_.message()));
  } else {
    const Progress& progress = ending_.progress;
    context_.log->info("{}: {} of {} tensors, {} weights, {:.0f} weights/s", Name(ending_.to),
                       progress.tensors_done, progress.tensors_total, progress.weights_done,
                       progress.weights_per_second);
  }
}

// What is recorded is kept for another attempt; a sink that has published has nothing left to keep.
void JobRun::DropStaged() {
  const bool keep_open = left_for_restart_ || KeepsUploads(ending_.to, ending_.error);
  if (sink_ != nullptr) {
    if (!succeeded_) (void)log_.CommitAll();  // a failure costs another attempt a few pieces
    if (!succeeded_ && log_.recorded()) {
      sink_->Keep();
      if (keep_open) sink_->KeepOpen();
    }
    sink_.reset();
    return;
  }
  if (succeeded_) return;  // an earlier attempt has published it, and nothing is left
  // It may be published: only who cancels or deletes the job wants it gone.
  if (ending_.to == JobState::kFailed && !publication_known_) return;
  const bool keep = !work_.has_value() || log_.recorded();  // not looked at, or good for another
  if (keep && (keep_open || !job_.request.destination.at_s3())) return;
  const absl::StatusOr<std::unique_ptr<Publisher>> publisher = MakePublisher();
  absl::Status status = publisher.status();
  if (publisher.ok() && !keep_open) status = (*publisher)->Abandon();
  if (publisher.ok() && !keep) status.Update((*publisher)->Discard());
  if (!status.ok()) {
    context_.log->warn("an earlier attempt may have left files: {}", status.ToString());
  }
}

bool JobRun::StoreEnd() {
  const LogScope scope({{"job", name()}, {"owner", job_.request.owner}});
  Reach(context_.fault_point, "end.storing");
  absl::Status stored;
  bool never = false;
  {
    const std::lock_guard change(state_mutex_);
    try {
      stored = context_.store->Update(name(), ending_).status();
    } catch (const std::exception& e) {
      stored = absl::InternalError(e.what());
    }
    // Somebody else ended it, or it is gone: no further attempt would change that.
    never = absl::IsFailedPrecondition(stored) || absl::IsNotFound(stored);
    const std::lock_guard lock(mutex_);
    end_stored_ = stored.ok() || never;
  }
  Reach(context_.fault_point, "end.stored");
  if (!stored.ok()) {
    context_.log->error("ended as {}, but that cannot be stored{}: {}", Name(ending_.to),
                        never ? "" : " yet", stored.ToString());
    if (!never) return false;
  } else {
    LogEnd();
  }
  context_.events->ClearProgress(name());  // not before: whoever looks meanwhile sees no step back
  context_.events->Notify(name());
  return true;
}

}  // namespace seedlm::server
