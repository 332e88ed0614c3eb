// Jobs and events on the wire <-> plain jobs.
#pragma once

#include "absl/status/statusor.h"
#include "seedlm/v1/compression_service.pb.h"
#include "seedlm/v1/job.pb.h"
#include "server/jobs/job.h"
#include "server/jobs/job_store.h"

namespace seedlm::server {

// What a client asks for, checked (admission). Fields that the server fills are ignored.
// Errors: INVALID_ARGUMENT naming the field; UNIMPLEMENTED as FromProto of the spec.
absl::StatusOr<JobRequest> FromProto(const v1::Job& job);

// Errors: INVALID_ARGUMENT for an unknown state, labels over their limits.
absl::StatusOr<JobQuery> FromProto(const v1::ListJobsRequest& request);

v1::Job ToProto(const JobRecord& job);
v1::JobState ToProto(JobState state);
v1::Progress ToProto(const Progress& progress);
v1::JobEvent ToProto(const JobEvent& event);

}  // namespace seedlm::server
