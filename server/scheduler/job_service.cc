#include "server/scheduler/job_service.h"

#include <openssl/rand.h>
#include <spdlog/logger.h>

#include <array>
#include <mutex>
#include <span>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "kernels/checksum/sha256.h"
#include "server/errors/reason.h"
#include "server/jobs/job_json.h"
#include "server/log/log_scope.h"
#include "server/scheduler/deletion_log.h"
#include "server/scheduler/estimate.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

constexpr size_t kIdBytes = 12;  // 24 hex digits: no two alike, ever

absl::StatusOr<std::string> MakeId() {
  std::array<unsigned char, kIdBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return absl::InternalError("the system gives no random numbers for a job's name");
  }
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

std::string HashOf(const JobRequest& request) {
  const std::string text = CanonicalRequest(request);
  checksum::Sha256 sum;
  sum.Update(std::as_bytes(std::span(text)));
  return sum.HexDigest();
}

absl::Status Stopping() {
  return WithReason(absl::UnavailableError("the server is stopping; retry when it is back"),
                    "SERVER_DRAINING");
}

}  // namespace

absl::StatusOr<JobRecord> JobService::Check(const JobRequest& request, const std::string& id,
                                            const std::stop_token& stop) {
  const auto backend = parts_.scheduler->OpenBackend(request.spec.backend);
  if (!backend.ok()) return backend.status();
  const absl::StatusOr<std::unique_ptr<const PlannedJob>> planned =
      parts_.locator->Plan(request, id, {.stop = stop});
  if (!planned.ok()) return planned.status();
  JobRecord job;
  job.name = "jobs/" + id;
  job.request = request;
  job.estimate = EstimateOf(
      **planned, {std::string((*backend)->name()), parts_.scheduler->threads(),
                  parts_.scheduler->shard_weights(), parts_.scheduler->shards_together()});
  job.estimate.seconds = parts_.scheduler->EstimateSeconds((*backend)->name(), request.spec.profile,
                                                           request.spec.fit, job.estimate.weights);
  job.progress.weights_total = job.estimate.weights;
  if (request.destination.managed) job.output_artifact = "artifacts/" + id;
  return job;
}

absl::StatusOr<JobRecord> JobService::Create(const JobRequest& request, std::string_view request_id,
                                             bool validate_only, const Asker& asker) {
  if (!validate_only) return CreateStored(request, request_id, asker);
  absl::StatusOr<std::optional<JobRecord>> earlier =
      parts_.store->FindRequest({std::string(request_id), HashOf(request), request.owner});
  if (!earlier.ok()) return earlier.status();
  if (earlier->has_value()) return **std::move(earlier);
  const absl::StatusOr<std::string> id = MakeId();
  if (!id.ok()) return id.status();
  absl::StatusOr<JobRecord> job = Check(request, *id, asker.stop);
  if (!job.ok()) return job.status();
  if (absl::Status room = parts_.locator->CheckRoom(*job, false); !room.ok()) return room;
  job->name.clear();
  job->output_artifact.clear();
  return job;
}

void JobService::LogCreated(const JobRecord& job) const {
  if (parts_.log == nullptr) return;
  const LogScope scope({{"job", job.name}, {"owner", job.request.owner}});
  const JobSource& from = job.request.source;
  const JobDestination& to = job.request.destination;
  parts_.log->info("created: {} to {}", from.uri.empty() ? from.artifact : from.uri,
                   to.managed ? job.output_artifact : to.uri);
}

absl::StatusOr<JobRecord> JobService::CreateStored(const JobRequest& request,
                                                   std::string_view request_id,
                                                   const Asker& asker) {
  const RequestKey key{std::string(request_id), HashOf(request), request.owner};
  // Before any limit: an earlier answer that was lost is given again, however full the queue is.
  absl::StatusOr<std::optional<JobRecord>> earlier = parts_.store->FindRequest(key);
  if (!earlier.ok()) return earlier.status();
  if (earlier->has_value()) return **std::move(earlier);
  if (parts_.scheduler->stopping()) return Stopping();
  absl::StatusOr<Scheduler::Place> place = parts_.scheduler->AdmitJob(request.owner);
  if (!place.ok()) return place.status();
  const absl::StatusOr<std::string> id = MakeId();
  if (!id.ok()) return id.status();
  const absl::StatusOr<JobRecord> job = Check(request, *id, asker.stop);
  if (!job.ok()) return job.status();
  if (!asker.still_wants()) return absl::CancelledError("the client has gone: no job was made");
  Reach(parts_.fault_point, "create.checked");
  // Until it is queued: two jobs do not both fit into the same room.
  const std::unique_lock held = parts_.locator->HoldArtifacts();
  if (absl::Status there = parts_.locator->CheckSourceStays(request); !there.ok()) return there;
  if (absl::Status room = parts_.locator->CheckRoom(*job, false); !room.ok()) return room;
  absl::StatusOr<InsertResult> inserted = parts_.store->Insert(*job, key);
  if (!inserted.ok()) return inserted.status();
  Reach(parts_.fault_point, "create.inserted");
  if (inserted->created) {
    // If the server began to stop a moment ago: the job is stored, the next start runs it.
    (void)parts_.scheduler->Enqueue(inserted->job, *std::move(place));
    parts_.events->Notify(inserted->job.name);
    LogCreated(inserted->job);
  }
  return std::move(inserted->job);
}

absl::StatusOr<JobRecord> JobService::Get(std::string_view name) {
  if (absl::Status status = ParseJobName(name).status(); !status.ok()) return status;
  absl::StatusOr<JobRecord> job = parts_.store->Get(name);
  if (job.ok() && job->state == JobState::kRunning) {
    if (std::optional<Progress> live = parts_.events->LiveProgress(name)) {
      job->progress = *std::move(live);
    }
  }
  return job;
}

absl::StatusOr<JobPage> JobService::List(const JobQuery& query) {
  absl::StatusOr<JobPage> page = parts_.store->List(query);
  if (!page.ok()) return page;
  for (JobRecord& job : page->jobs) {
    if (job.state != JobState::kRunning) continue;
    if (std::optional<Progress> live = parts_.events->LiveProgress(job.name)) {
      job.progress = *std::move(live);
    }
  }
  return page;
}

absl::StatusOr<JobRecord> JobService::Cancel(std::string_view name, std::string_view etag) {
  while (true) {  // again only when the job has moved on since it was looked at
    absl::StatusOr<JobRecord> job = Get(name);
    if (!job.ok()) return job;
    if (absl::Status status = CheckEtag(*job, etag); !status.ok()) return status;
    if (HasEnded(job->state)) return job;
    const absl::StatusOr<bool> asked = parts_.scheduler->Cancel(name, job->etag);
    if (asked.ok() && *asked) return Get(name);
    absl::Status status = asked.status();
    if (asked.ok()) {
      // Not in this process's hands: it is stored and not yet queued, or left for the next start.
      absl::StatusOr<JobRecord> cancelled =
          parts_.store->Update(name, {JobState::kCancelled, job->progress, {}, {}, job->etag});
      if (cancelled.ok()) {
        parts_.events->Notify(name);
        return cancelled;
      }
      status = cancelled.status();
    }
    if (!absl::IsAborted(status)) return status;
  }
}

absl::StatusOr<JobRecord> JobService::Resume(std::string_view name, std::string_view etag) {
  absl::StatusOr<JobRecord> job = Get(name);
  if (!job.ok()) return job;
  if (absl::Status status = CheckEtag(*job, etag); !status.ok()) return status;
  if (!HasEnded(job->state)) return job;
  if (job->state == JobState::kSucceeded) {
    return absl::FailedPreconditionError(
        absl::StrCat(job->name, " has SUCCEEDED: there is nothing to resume"));
  }
  absl::StatusOr<Scheduler::Place> place = parts_.scheduler->AdmitJob(job->request.owner);
  if (!place.ok()) return place.status();
  if (parts_.scheduler->stopping()) return Stopping();
  const std::unique_lock held = parts_.locator->HoldArtifacts();
  if (absl::Status there = parts_.locator->CheckSourceStays(job->request); !there.ok()) {
    return there;
  }
  if (absl::Status room = parts_.locator->CheckRoom(*job, true); !room.ok()) return room;
  Progress progress;
  progress.weights_total = job->estimate.weights;
  job = parts_.store->Update(name, {JobState::kQueued, progress, {}, {}, std::string(etag)});
  const bool moved = absl::IsFailedPrecondition(job.status()) && ReasonOf(job.status()).empty();
  if (moved) return Get(name);  // resumed by somebody else
  if (!job.ok()) return job;
  Reach(parts_.fault_point, "resume.queued");
  // If the server began to stop a moment ago: the next start runs it.
  (void)parts_.scheduler->Enqueue(*job, *std::move(place));
  parts_.events->Notify(name);
  return job;
}

absl::Status JobService::Delete(std::string_view name, std::string_view etag, std::string_view by) {
  absl::StatusOr<JobRecord> job = Get(name);
  if (!job.ok()) return job.status();
  const bool ending = job->progress.phase == JobPhase::kCancelling;
  job = parts_.store->BeginDelete(name, etag);
  if (ending && ReasonOf(job.status()) == "JOB_NOT_ENDED") {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          std::string(name),
                          " is being cancelled; delete it when it has ended, in some seconds")),
                      "JOB_NOT_ENDED");
  }
  if (!job.ok()) return job.status();
  LogDeletion(parts_.log, name, job->request.owner, by);  // nobody sees it any more
  Reach(parts_.fault_point, "delete.begun");
  parts_.events->Notify(name);
  absl::Status status = RemoveFiles(*job);
  if (!status.ok()) return status;  // the next start tries again
  Reach(parts_.fault_point, "delete.removed");
  return parts_.store->EndDelete(name);
}

absl::Status JobService::RemoveFiles(const JobRecord& job) {
  const absl::StatusOr<SinkTarget> target = parts_.locator->Target(job.request, IdOf(job.name));
  if (!target.ok()) return target.status();
  const absl::StatusOr<std::unique_ptr<Publisher>> publisher = parts_.make_publisher(*target);
  if (!publisher.ok()) return publisher.status();
  // Of a deletion that an earlier server began the state is not known, but what SUCCEEDED has
  // files.
  const bool no_output = job.output_files.empty();
  absl::Status abandoned = no_output ? (*publisher)->Abandon() : absl::OkStatus();
  if (absl::Status status = (*publisher)->Discard(); !status.ok()) return status;
  if (!abandoned.ok()) return abandoned;
  // An output with a name of the user's is the user's.
  return target->result ? RemoveTree(target->path) : absl::OkStatus();
}

absl::Status JobService::FinishDeletions() {
  const absl::StatusOr<std::vector<JobRecord>> jobs = parts_.store->Deletions();
  if (!jobs.ok()) return jobs.status();
  absl::Status first;
  for (const JobRecord& job : *jobs) {
    absl::Status status = RemoveFiles(job);
    if (status.ok()) status = parts_.store->EndDelete(job.name);
    first.Update(status);
  }
  return first;
}

absl::StatusOr<EventPage> JobService::ReadEvents(std::string_view name, const EventQuery& query) {
  if (absl::Status status = ParseJobName(name).status(); !status.ok()) return status;
  return parts_.store->ReadEvents(name, query);
}

JobEvents::Subscription JobService::Watch(std::string_view name, JobEvents::Callback on_change) {
  return parts_.events->Subscribe(name, std::move(on_change));
}

std::optional<Progress> JobService::LiveProgress(std::string_view name) const {
  return parts_.events->LiveProgress(name);
}

int JobService::active_jobs() const { return parts_.scheduler->active_jobs(); }

std::vector<BackendUse> JobService::Backends() const { return parts_.scheduler->Backends(); }

}  // namespace seedlm::server
