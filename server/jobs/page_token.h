// Tokens of ListJobs: where the next page starts, and for which filters.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/jobs/job_store.h"

namespace seedlm::server {

// `last_id`: row id of the last job on the page.
std::string MakePageToken(const JobQuery& query, int64_t last_id);

// Rows with an id below the answer come next; the largest integer for an empty token.
// INVALID_ARGUMENT for a token that MakePageToken did not make for these filters.
absl::StatusOr<int64_t> ParsePageToken(const JobQuery& query);

}  // namespace seedlm::server
