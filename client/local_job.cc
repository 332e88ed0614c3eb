#include "client/local_job.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/leftovers.h"
#include "client/output.h"
#include "client/rpc_status.h"
#include "kernels/checksum/sha256.h"

namespace seedlm::client {
namespace {

constexpr char kRequestId[] = "compress";  // one job a server: the key is the output
constexpr size_t kKeyDigits = 32;

// Deletes all jobs, with what is staged of them.
absl::Status Forget(JobClient& jobs) {
  const auto left = jobs.ListJobs({}, {});
  if (!left.ok()) return left.status();
  for (const v1::Job& job : *left) {
    absl::Status status;
    if (!HasEnded(job.state())) {
      status = jobs.CancelJob(job.name(), {}).status();
      if (status.ok()) status = jobs.WatchJob(job.name(), {}, [](const v1::JobEvent&) {});
    }
    if (status.ok()) status = jobs.DeleteJob(job.name(), {});
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

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
      if (absl::Status status = Forget(jobs_); !status.ok()) return status;
      followed = RunOnce(out);
    }
    if (!followed.ok()) return AfterError(followed.status(), out);
    if (MayGoOn(followed->job)) {
      session_.embedded->KeepState();
      PrintNote("what is done is kept: the same command goes on where this one stopped");
    } else if (followed->job.state() != v1::JOB_STATE_SUCCEEDED) {
      (void)Forget(jobs_);
    }
    return followed;
  }

 private:
  absl::StatusOr<Followed> RunOnce(const std::string& out) {
    const absl::StatusOr<v1::Job> job = CreateOrTakeUp();
    if (absl::IsCancelled(job.status())) {
      return absl::CancelledError("interrupted; nothing was written");
    }
    if (!job.ok()) return job.status();
    name_ = job->name();
    RegisterLeftover(PartialOutput(out, name_));
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
    // What succeeded is not there any more, or this command would not run.
    if (of_another_request || (job.ok() && job->state() == v1::JOB_STATE_SUCCEEDED)) {
      if (absl::Status status = Forget(jobs_); !status.ok()) return status;
      job = jobs_.CreateJob(request_, interrupt_.token());
    }
    if (!job.ok()) return job;
    taken_up_ = HasEnded(job->state()) || job->attempt() > 1;
    if (HasEnded(job->state())) job = jobs_.ResumeJob(job->name(), interrupt_.token());
    if (taken_up_) PrintNote("goes on where an earlier run of this command stopped");
    return job;
  }

  // Interrupted, mostly: then the same command may go on, or is told to begin anew.
  absl::Status AfterError(const absl::Status& error, const std::string& out) {
    if (absl::IsCancelled(error) && !name_.empty()) {
      const auto job = jobs_.GetJob(name_, {});
      if (job.ok() && MayGoOn(*job)) {
        session_.embedded->KeepState();
        return absl::CancelledError(
            absl::StrCat("interrupted; what is done is kept in ", PartialOutput(out, name_),
                         ": the same command goes on where this one stopped"));
      }
    }
    (void)Forget(jobs_);  // what stays is hidden
    return absl::IsCancelled(error)
               ? absl::CancelledError("interrupted; nothing was done yet, and nothing is left")
               : error;
  }

  // Not what is wrong with the request or the source, and only if something is done, or was by an
  // earlier run.
  bool MayGoOn(const v1::Job& job) const {
    if (!session_.embedded->has_state()) return false;
    if (job.progress().shards_done() == 0 && !taken_up_) return false;
    if (job.state() == v1::JOB_STATE_CANCELLED) return true;
    return job.state() == v1::JOB_STATE_FAILED &&
           job.error().code() != static_cast<int>(absl::StatusCode::kInvalidArgument) &&
           job.error().code() != static_cast<int>(absl::StatusCode::kFailedPrecondition);
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
