// Storage roots whose file system has not been mounted yet.
#pragma once

#include "absl/status/status.h"
#include "server/jobs/job_store.h"
#include "server/storage/storage_roots.h"

namespace seedlm::server {

// FAILED_PRECONDITION, naming root and job, where the source of a job that has not ended lies below
// a root that is an empty directory and no mount point: mostly a mount that has not come yet, for
// want of which the job would fail. Other errors: those of the store.
// REQUIRES: no job has been taken up yet.
absl::Status CheckRootsOfJobs(JobStore& store, const StorageRoots& roots);

}  // namespace seedlm::server
