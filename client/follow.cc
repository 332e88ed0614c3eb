#include "client/follow.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/job_json.h"
#include "client/local_time.h"
#include "client/output.h"
#include "client/rpc_status.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

std::string TensorLine(const v1::TensorResult& tensor) {
  return absl::StrFormat("%s [%d, %d]: relative error %.4f, largest error %.3g, %s\n",
                         Printable(tensor.name()), tensor.rows(), tensor.columns(),
                         tensor.relative_error(), tensor.max_error(),
                         FormatDuration(tensor.seconds()));
}

// Takes the events of one job.
class Follower {
 public:
  explicit Follower(const FollowOptions& options) : options_(options) {}

  void Take(const v1::JobEvent& event) {
    if (options_.json) PrintOut(JsonLine(ToJson(event)));
    switch (event.event_case()) {
      case v1::JobEvent::kSnapshot:
        followed_.job = event.snapshot();
        Show();
        break;
      case v1::JobEvent::kState:
        followed_.job.set_state(event.state());
        break;
      case v1::JobEvent::kProgress:
        *followed_.job.mutable_progress() = event.progress();
        Show();
        break;
      case v1::JobEvent::kTensor:
        TakeTensor(event.tensor());
        break;
      case v1::JobEvent::kWarning:
        if (!options_.json) TakeWarning(event);
        break;
      default:
        break;
    }
  }

  // A line that is not of the job.
  void Tell(const std::string& line) {
    bar_.Print(absl::StrCat("seedlm: ", Printable(line, std::string::npos)));
  }

  // Takes the bar away and gives the result.
  Followed Finish() {
    bar_.Clear();
    return std::move(followed_);
  }

 private:
  void Show() {
    if (options_.on_progress) options_.on_progress(followed_.job.progress());
    if (options_.show_progress && !options_.json && followed_.job.progress().weights_total() > 0) {
      bar_.Update(ToView(followed_.job.progress()));
    }
  }

  // With its time: those of earlier attempts come again.
  void TakeWarning(const v1::JobEvent& event) {
    const std::string time = event.has_time() ? absl::StrCat(" of ", FormatTime(event.time())) : "";
    bar_.Print(absl::StrCat("seedlm: warning", time, ": ", event.warning()));
  }

  void TakeTensor(const v1::TensorResult& tensor) {
    followed_.tensors.push_back(tensor);
    if (!options_.show_tensors || options_.json) return;
    bar_.Clear();
    PrintOut(TensorLine(tensor));
  }

  FollowOptions options_;
  ProgressBar bar_;
  Followed followed_;
};

// What is said instead of the weights done, which do not move meanwhile.
std::string PhaseWord(v1::JobPhase phase) {
  switch (phase) {
    case v1::JOB_PHASE_MEASURING:
      return "measuring";
    case v1::JOB_PHASE_PUBLISHING:
      return "publishing";
    default:
      return "";
  }
}

}  // namespace

ProgressView ToView(const v1::Progress& progress) {
  const std::string phase = PhaseWord(progress.phase());
  return {.done = progress.weights_done(),
          .total = progress.weights_total(),
          .rate = progress.weights_per_second(),
          .eta_seconds = progress.eta_seconds(),
          // The tensor of the last shard: outside of encoding it would be a wrong name.
          .current = IsCancelling(progress) ? "cancelling"
                     : phase.empty()        ? progress.current_tensor()
                                            : "",
          .phase = phase,
          .phase_fraction = progress.phase_fraction()};
}

absl::StatusOr<Followed> FollowJob(JobClient& client, const std::string& name,
                                   const FollowOptions& options, const Interrupt& interrupt) {
  Follower follower(options);
  std::stop_source give_up;  // ends the watch; the job goes on
  absl::Status cancelled;    // written by the callback, read after it is gone
  {
    const std::stop_callback on_interrupt(interrupt.token(), [&] {
      if (options.cancel_on_interrupt) cancelled = client.CancelJob(name, "", {}).status();
      if (!options.cancel_on_interrupt || !cancelled.ok()) give_up.request_stop();
    });
    const bool prints = options.json || options.show_tensors;
    absl::Status status =
        client.WatchJob(name, give_up.get_token(),
                        [&](const v1::JobEvent& event) {
                          follower.Take(event);
                          if (prints && ReaderLeft()) give_up.request_stop();
                        },
                        {.patience = options.patience,
                         .tell = [&](const std::string& line) { follower.Tell(line); }});
    if (prints && ReaderLeft() && !interrupt.requested()) return follower.Finish();
    if (!status.ok() && !interrupt.requested()) return status;
  }
  Followed followed = follower.Finish();
  // With the error, the estimate and the files; not to be stopped by the interrupt that asks for
  // it.
  auto job = client.GetJob(name, {});
  const bool only_watched = interrupt.requested() && !options.cancel_on_interrupt;
  if (!job.ok() && !only_watched) return job.status();
  if (job.ok()) followed.job = *std::move(job);
  followed.job.set_name(name);
  if (interrupt.requested()) {
    absl::Status status = AfterInterrupt(followed.job, options, cancelled);
    if (!status.ok()) return status;
  }
  return followed;
}

absl::Status AfterInterrupt(const v1::Job& job, const FollowOptions& options,
                            const absl::Status& cancel) {
  if (!HasEnded(job.state())) {
    if (!cancel.ok()) return cancel;
    return absl::CancelledError(absl::StrCat(
        job.name(), ": no longer watched, it goes on; stop it with seedlm cancel ", job.name()));
  }
  if (options.cancel_on_interrupt && job.state() == v1::JOB_STATE_CANCELLED) {
    return absl::CancelledError(absl::StrCat("interrupted, ", job.name(),
                                             " was cancelled and nothing written; it goes on with "
                                             "seedlm resume ",
                                             job.name()));
  }
  return absl::OkStatus();
}

absl::Status EndOf(const v1::Job& job, const std::string& thing) {
  switch (job.state()) {
    case v1::JOB_STATE_SUCCEEDED:
      return absl::OkStatus();
    case v1::JOB_STATE_FAILED:
      return FromProto(job.error(), thing);
    case v1::JOB_STATE_CANCELLED:
      return absl::CancelledError(
          absl::StrCat(thing, ": was cancelled; go on with seedlm resume ", job.name()));
    default:
      return absl::UnavailableError(
          absl::StrCat(thing, ": is ", StateName(job.state()), " still; watch it again"));
  }
}

}  // namespace seedlm::client
