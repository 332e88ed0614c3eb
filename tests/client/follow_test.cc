#include "client/follow.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "absl/strings/match.h"
#include "client/job_report.h"
#include "google/rpc/status.pb.h"
#include "kernels/format/atomic_file.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::client {
namespace {

v1::Job InState(v1::JobState state) {
  v1::Job job;
  job.set_name("jobs/1");
  job.set_state(state);
  return job;
}

TEST_CASE("an interrupt that came too late leaves the job its real end") {
  for (const bool cancel : {false, true}) {
    const FollowOptions options{.cancel_on_interrupt = cancel};
    CAPTURE(cancel);
    CHECK(AfterInterrupt(InState(v1::JOB_STATE_SUCCEEDED), options, {}).ok());
    CHECK(AfterInterrupt(InState(v1::JOB_STATE_FAILED), options, {}).ok());
  }
}

TEST_CASE("what an interrupt ended is said as it is") {
  const absl::Status ours =
      AfterInterrupt(InState(v1::JOB_STATE_CANCELLED), {.cancel_on_interrupt = true}, {});
  CHECK(absl::IsCancelled(ours));
  CHECK(absl::StrContains(ours.message(), "jobs/1 was cancelled"));
  CHECK(absl::StrContains(ours.message(), "seedlm resume jobs/1"));
  // Cancelled by somebody else while it was watched: its own end.
  CHECK(AfterInterrupt(InState(v1::JOB_STATE_CANCELLED), {}, {}).ok());
  const absl::Status watched = AfterInterrupt(InState(v1::JOB_STATE_RUNNING), {}, {});
  CHECK(absl::IsCancelled(watched));
  CHECK(absl::StrContains(watched.message(), "goes on; stop it with seedlm cancel jobs/1"));
  CHECK(absl::IsUnavailable(AfterInterrupt(InState(v1::JOB_STATE_RUNNING),
                                           {.cancel_on_interrupt = true},
                                           absl::UnavailableError("gone"))));
}

TEST_CASE("phases in which no weight is done are shown by their name") {
  v1::Progress progress;
  progress.set_weights_total(100);
  progress.set_phase_fraction(0.25);
  progress.set_current_tensor("the.last.one");
  progress.set_phase(v1::JOB_PHASE_MEASURING);
  CHECK(ToView(progress).current.empty());
  CHECK(ToView(progress).phase == "measuring");
  CHECK(ToView(progress).phase_fraction == 0.25);
  progress.set_phase(v1::JOB_PHASE_PUBLISHING);
  CHECK(ToView(progress).phase == "publishing");
  progress.set_phase(v1::JOB_PHASE_CANCELLING);
  CHECK(ToView(progress).phase.empty());
  CHECK(ToView(progress).current == "cancelling");
  progress.set_phase(v1::JOB_PHASE_ENCODING);
  CHECK(ToView(progress).phase.empty());
  CHECK(ToView(progress).current == "the.last.one");
  progress.set_phase(static_cast<v1::JobPhase>(99));  // of a later server
  CHECK(ToView(progress).phase.empty());
}

TEST_CASE("an end that is no success has its exit code") {
  CHECK(ReportEnd(InState(v1::JOB_STATE_SUCCEEDED), "jobs/1") == kOk);
  CHECK(ReportEnd(InState(v1::JOB_STATE_CANCELLED), "jobs/1") == kCancelled);
  v1::Job failed = InState(v1::JOB_STATE_FAILED);
  *failed.mutable_error() = server::ToProtoStatus(format::ErrnoToStatus(EIO, "/d/f", "read"));
  CHECK(ReportEnd(failed, "jobs/1") == kStorage);
  *failed.mutable_error() = server::ToProtoStatus(absl::InternalError("a defect"));
  CHECK(ReportEnd(failed, "jobs/1") == kInternal);
}

TEST_CASE("an output that is larger than its source is not called smaller") {
  CompressSummary summary;
  summary.input_bytes = 100;
  summary.output_bytes = 250;
  CHECK(absl::StrContains(ToText(summary), "(2.50 times larger)"));
  std::swap(summary.input_bytes, summary.output_bytes);
  CHECK(absl::StrContains(ToText(summary), "(2.50 times smaller)"));
}

}  // namespace
}  // namespace seedlm::client
