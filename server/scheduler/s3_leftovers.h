// What becomes of what jobs of an earlier server have left at an S3 server.
#pragma once

#include <string_view>

#include "server/jobs/job_store.h"
#include "server/storage/s3_destination.h"

namespace seedlm::server {

// Of the job with this id, before any deletion is gone on with: who does that takes up its own.
Leftover LeftoverOf(JobStore& store, std::string_view id);

}  // namespace seedlm::server
