// Jobs and events as the JSON that the store keeps. Unknown keys are ignored, missing ones take
// their defaults, so that a field can be added without a new schema.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "absl/status/statusor.h"
#include "server/jobs/job.h"
#include "server/jobs/job_work.h"

namespace seedlm::server {

// Without state and last_sequence, which are columns of their own.
std::string JobToJson(const JobRecord& job);
// INTERNAL for text that JobToJson did not write.
absl::StatusOr<JobRecord> JobFromJson(std::string_view json);

// The body alone.
std::string EventToJson(const JobEvent& event);
absl::StatusOr<JobEvent> EventFromJson(std::string_view json);

std::string LevelsToJson(const codec::LevelTable& levels);  // to the bit
absl::StatusOr<codec::LevelTable> LevelsFromJson(std::string_view json);

std::string PublicationToJson(const Publication& publication);
absl::StatusOr<Publication> PublicationFromJson(std::string_view json);

// A text that is equal for equal requests only: the body behind a request_id. Whose request it is
// does not count.
std::string CanonicalRequest(const JobRequest& request);

}  // namespace seedlm::server
