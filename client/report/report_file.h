// A report as a file.
#pragma once

#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "client/job_client.h"

namespace seedlm::client {

// Whether WriteReport could write there, before any work. Errors: ALREADY_EXISTS unless `force`;
// NOT_FOUND (no such directory), INVALID_ARGUMENT (a directory).
absl::Status CheckReportFile(const std::string& path, bool force);

// RenderReport of ReadHistory; the file appears whole or not at all. Errors: theirs, and those of
// CheckReportFile.
absl::Status WriteReport(JobClient& client, const std::string& job, const std::string& path,
                         bool force, const std::stop_token& stop);

}  // namespace seedlm::client
