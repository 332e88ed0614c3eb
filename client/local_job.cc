#include "client/local_job.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/job_report.h"
#include "client/leftovers.h"
#include "client/output.h"
#include "client/rpc_status.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/hidden_name.h"

namespace seedlm::client {
namespace {

constexpr char kRequestId[] = "compress";  // one job a server: the key is the output
constexpr size_t kKeyDigits = 32;

class LocalJob {
 public:
  LocalJob(const Session& session, v1::CreateJobRequest request, const Interrupt& interrupt)
      : session_(session),
        jobs_(*session.jobs),
        request_(std::move(request)),
        interrupt_(interrupt) {
    request_.set_request_id(kRequestId);
  }

  absl::StatusOr<Followed> Run(const std::string& out) {
    absl::StatusOr<Followed> followed = RunOnce(out);
    if (followed.ok() && taken_up_ && ErrorReason(EndOf(followed->job, "")) == "SOURCE_CHANGED") {
      PrintNote("the source has changed: begins anew");
      if (absl::Status status = Forget(); !status.ok()) return status;
      followed = RunOnce(out);
    }
    if (!followed.ok()) return AfterError(followed.status(), out);
    if (MayGoOn(followed->job)) {
      session_.embedded->KeepState();
      const bool in_the_way = absl::IsAlreadyExists(EndOf(followed->job, ""));
      PrintNote(absl::StrCat("what is done is kept", ShareDone(followed->job.progress()), ": ",
                             in_the_way ? absl::StrCat("once ", out, " has been moved away, ") : "",
                             "the same command goes on where this one stopped"));
    } else if (followed->job.state() != v1::JOB_STATE_SUCCEEDED) {
      (void)Forget();
    } else {
      session_.embedded->DropState();
    }
    return followed;
  }

 private:
  // Deletes all jobs, with what is staged of them.
  absl::Status Forget() {
    const auto left = jobs_.ListJobs({}, {});
    if (!left.ok()) return left.status();
    for (const v1::Job& job : *left) {
      absl::Status status;
      if (!HasEnded(job.state())) {
        status = jobs_.CancelJob(job.name(), "", {}).status();
        if (status.ok()) status = jobs_.WatchJob(job.name(), {}, [](const v1::JobEvent&) {});
      }
      if (status.ok()) status = jobs_.DeleteJob(job.name(), "", {});
      if (!status.ok()) return status;
    }
    session_.embedded->DropState();
    return absl::OkStatus();
  }

  absl::StatusOr<Followed> RunOnce(const std::string& out) {
    const absl::StatusOr<v1::Job> job = CreateOrTakeUp();
    if (absl::IsCancelled(job.status())) {
      return absl::CancelledError(
          "interrupted before anything was done; what an earlier run did is kept");
    }
    if (!job.ok()) return job.status();
    name_ = job->name();
    if (!session_.embedded->has_state()) {
      PrintNote(
          "no directory below XDG_STATE_HOME or HOME can be written: if this run ends early, "
          "what is done is lost");
    }
    RegisterLeftover(PartialOutput(out));
    const auto on_progress = [this](const v1::Progress& progress) {
      // As after kill -9, a second interrupt loses nothing that is done.
      if (progress.shards_done() > 0 && session_.embedded->has_state()) KeepLeftovers();
    };
    return FollowJob(jobs_, name_, {.cancel_on_interrupt = true, .on_progress = on_progress},
                     interrupt_);
  }

  absl::StatusOr<v1::Job> CreateOrTakeUp() {
    absl::StatusOr<v1::Job> job = jobs_.CreateJob(request_, interrupt_.token());
    const bool of_another_request = ErrorReason(job.status()) == "REQUEST_ID_REUSED";
    if (of_another_request) {  // nothing is given up for a request that is then refused
      v1::CreateJobRequest question = request_;
      question.set_validate_only(true);
      question.clear_request_id();
      const auto answer = jobs_.CreateJob(std::move(question), interrupt_.token());
      if (!answer.ok()) return answer;
    }
    // What succeeded is not there any more, or this command would not run.
    if (of_another_request || (job.ok() && job->state() == v1::JOB_STATE_SUCCEEDED)) {
      if (of_another_request) {
        PrintNote(
            "other options or another input: begins anew, and what an earlier run did is lost");
      }
      if (absl::Status status = Forget(); !status.ok()) return status;
      job = jobs_.CreateJob(request_, interrupt_.token());
    }
    if (!job.ok()) return job;
    taken_up_ = HasEnded(job->state()) || job->attempt() > 1;
    if (taken_up_) {
      PrintNote(absl::StrCat("takes up what an earlier run of this command did",
                             ShareDone(job->progress()), "; what is not as it was is done again"));
    }
    return HasEnded(job->state()) ? jobs_.ResumeJob(job->name(), job->etag(), interrupt_.token())
                                  : job;
  }

  // Interrupted, mostly: then the same command may go on, or is told to begin anew. Before this run
  // has a job, what an earlier one left stays.
  absl::Status AfterError(const absl::Status& error, const std::string& out) {
    if (name_.empty() && session_.embedded->found_state()) return error;
    if (!name_.empty() && HasWorthKeeping()) {
      session_.embedded->KeepState();
      if (!absl::IsCancelled(error)) return error;
      return absl::CancelledError(
          absl::StrCat("interrupted; what is done is kept in ", PartialOutput(out),
                       ": the same command goes on where this one stopped"));
    }
    (void)Forget();  // what stays is hidden
    if (!absl::IsCancelled(error)) return error;
    return absl::CancelledError(session_.embedded->has_state()
                                    ? "interrupted; nothing was done yet, and nothing is left"
                                    : "interrupted; nothing is left of what was done");
  }

  // Where the server builds `out`.
  std::string PartialOutput(const std::string& out) const {
    return format::PartialNameBeside(out, name_.substr(name_.rfind('/') + 1));
  }

  bool HasWorthKeeping() {
    const auto job = jobs_.GetJob(name_, {});
    return !job.ok() || IsWorthKeeping(*job);
  }

  // Whether something is done, or was by an earlier run.
  bool IsWorthKeeping(const v1::Job& job) const {
    return session_.embedded->has_state() && (job.progress().shards_done() > 0 || taken_up_);
  }

  // Not what is wrong with the request or the source.
  bool MayGoOn(const v1::Job& job) const {
    if (!IsWorthKeeping(job)) return false;
    return job.state() == v1::JOB_STATE_CANCELLED || MayBeResumed(job);
  }

  const Session& session_;
  JobClient& jobs_;
  v1::CreateJobRequest request_;
  const Interrupt& interrupt_;
  bool taken_up_ = false;  // an earlier run of the command left it
  std::string name_;       // of the job; empty: there is none yet
};

}  // namespace

std::string ResumeKey(const std::string& out) {
  checksum::Sha256 sum;
  sum.Update(out);
  return sum.HexDigest().substr(0, kKeyDigits);
}

absl::StatusOr<Followed> RunLocalJob(const Session& session, v1::CreateJobRequest request,
                                     const std::string& out, const Interrupt& interrupt) {
  return LocalJob(session, std::move(request), interrupt).Run(out);
}

}  // namespace seedlm::client
