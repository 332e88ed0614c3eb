// A job whose source is here, and the server is not.
#pragma once

#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "client/session.h"

namespace seedlm::client {

// Uploads the checkpoint at `path` as the source of request.job, as far as the server has not got
// it, and creates the job; shows on stderr how it goes. What the server would refuse is known
// before the upload; so is, with a request id, whether that was used: the job of the same request
// comes back, and nothing is sent. Errors: those of PendingUpload and JobClient::CreateJob.
absl::StatusOr<v1::Job> SubmitUpload(const Session& session, v1::CreateJobRequest request,
                                     const std::string& path, const std::stop_token& stop);

}  // namespace seedlm::client
