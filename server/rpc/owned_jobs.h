// The job service as one caller sees it: jobs of others are not there.
#pragma once

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/auth/caller.h"
#include "server/scheduler/job_service.h"

namespace seedlm::server {

// Every way from a call to a job goes through here. A foreign name is answered as one that does not
// exist, word for word; to an admin no name is foreign. Cheap to make; thread-safe as the service,
// which must outlive it. Errors are those of JobService.
class OwnedJobs {
 public:
  OwnedJobs(JobService& service, Caller caller) : service_(service), caller_(std::move(caller)) {}

  // The job is the caller's, and so is the source, if it is an artifact. Request ids of different
  // owners have nothing to do with each other.
  absl::StatusOr<JobRecord> Create(JobRequest request, std::string_view request_id,
                                   bool validate_only, const JobService::Asker& asker);
  absl::StatusOr<JobRecord> Get(std::string_view name);
  absl::StatusOr<JobPage> List(JobQuery query);  // of all owners to an admin
  absl::StatusOr<JobRecord> Cancel(std::string_view name, std::string_view etag);
  absl::StatusOr<JobRecord> Resume(std::string_view name, std::string_view etag);
  absl::Status Delete(std::string_view name, std::string_view etag);

 private:
  JobService& service_;
  const Caller caller_;
};

}  // namespace seedlm::server
