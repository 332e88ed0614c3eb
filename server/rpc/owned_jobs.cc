#include "server/rpc/owned_jobs.h"

namespace seedlm::server {

absl::StatusOr<JobRecord> OwnedJobs::Create(JobRequest request, std::string_view request_id,
                                            bool validate_only, const JobService::Asker& asker) {
  request.owner = caller_.owner;
  return service_.Create(request, request_id, validate_only, asker);
}

absl::StatusOr<JobRecord> OwnedJobs::Get(std::string_view name) {
  absl::StatusOr<JobRecord> job = service_.Get(name);
  if (job.ok() && !caller_.Sees(job->request.owner)) return NoSuchJob(name);
  return job;
}

absl::StatusOr<JobPage> OwnedJobs::List(JobQuery query) {
  if (caller_.role != Role::kAdmin) query.owner = caller_.owner;
  return service_.List(query);
}

absl::StatusOr<JobRecord> OwnedJobs::Cancel(std::string_view name, std::string_view etag) {
  if (absl::Status status = Get(name).status(); !status.ok()) return status;
  return service_.Cancel(name, etag);
}

absl::StatusOr<JobRecord> OwnedJobs::Resume(std::string_view name, std::string_view etag) {
  if (absl::Status status = Get(name).status(); !status.ok()) return status;
  return service_.Resume(name, etag);
}

absl::Status OwnedJobs::Delete(std::string_view name, std::string_view etag) {
  if (absl::Status status = Get(name).status(); !status.ok()) return status;
  return service_.Delete(name, etag, caller_.owner);
}

}  // namespace seedlm::server
