// Jobs and events on the wire <-> plain jobs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "seedlm/v1/compression_service.pb.h"
#include "seedlm/v1/job.pb.h"
#include "server/jobs/job.h"
#include "server/jobs/job_store.h"

namespace seedlm::server {

// Clients take no more in one message.
inline constexpr int64_t kMaxMessageBytes = int64_t{4} << 20;
// Of the elements of a page; the rest is room for what surrounds them.
inline constexpr size_t kMaxPageBytes = kMaxMessageBytes - (size_t{64} << 10);

// What a client asks for, checked (admission). Fields that the server fills are ignored.
// Errors: INVALID_ARGUMENT naming the field; UNIMPLEMENTED as FromProto of the spec.
absl::StatusOr<JobRequest> FromProto(const v1::Job& job);

// Errors: INVALID_ARGUMENT for an unknown state, labels over their limits.
absl::StatusOr<JobQuery> FromProto(const v1::ListJobsRequest& request);

// Fits a message: of output_files and estimate.skipped as many as there is room for; their counts
// say how many there are. Names of tensors are cut at kMaxNameBytes.
v1::Job ToProto(const JobRecord& job);
inline constexpr size_t kMaxNameBytes = 4096;
v1::JobState ToProto(JobState state);
v1::Progress ToProto(const Progress& progress);
v1::JobEvent ToProto(const JobEvent& event);

}  // namespace seedlm::server
