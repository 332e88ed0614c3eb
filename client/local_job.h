// A job of the server in the process, which goes on with what an earlier run of the same command
// left when it was killed, interrupted or failed.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/follow.h"
#include "client/interrupt.h"
#include "client/session.h"
#include "seedlm/v1/compression_service.pb.h"

namespace seedlm::client {

// EmbeddedServer::Options::resume_key for work on the output `out` (absolute).
std::string ResumeKey(const std::string& out);

// Creates the job, or takes up the one that was left of the same request, and follows it to its
// end. One of another request, or of a source that is another one by now, is deleted first. After
// an interrupt, or a failure that can be mended, what is done is kept, and the error or a note says
// so. Errors: those of FollowJob and CreateJob. REQUIRES: session.embedded, started with
// ResumeKey(out); `request` has no request_id.
absl::StatusOr<Followed> RunLocalJob(const Session& session, v1::CreateJobRequest request,
                                     const std::string& out, const Interrupt& interrupt);

}  // namespace seedlm::client
