// A report as a file.
#pragma once

#include <span>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/job_client.h"

namespace seedlm::client {

// Where the report goes: `given`, resolved, if it may be written there, before any work. `kept`:
// what the command reads and writes besides, resolved; empty strings are none.
// Errors: those of OutputPath and CheckOutput; INVALID_ARGUMENT for a path that is one of `kept`,
// or lies in one; with `force` FAILED_PRECONDITION for a file that is no HTML page: it was no
// report.
absl::StatusOr<std::string> ReportPath(const std::string& given, bool force,
                                       std::span<const std::string> kept);

// RenderReport of ReadHistory, to a path of ReportPath; the file appears whole or not at all.
// Errors: theirs, and those of writing.
absl::Status WriteReport(JobClient& client, const std::string& job, const std::string& path,
                         bool force, const std::stop_token& stop);

}  // namespace seedlm::client
