// The tables of the job store.
#pragma once

#include "absl/status/status.h"
#include "server/errors/fault_point.h"
#include "server/jobs/sqlite.h"

namespace seedlm::server {

// Checks that the file is sound and a job store (or empty), and brings its schema up to date.
// FAILED_PRECONDITION, with the file left as it is, if it is damaged, another program's, or of a
// newer version.
absl::Status PrepareSchema(Database& database, const FaultPoint& fault_point = {});

}  // namespace seedlm::server
