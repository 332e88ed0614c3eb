// The unary calls of ArtifactService with deadlines, retries and absl::Status; uploads and
// downloads are in transfer.h.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/retry.h"
#include "seedlm/v1/artifact_service.pb.h"

namespace grpc {
class Channel;
}

namespace seedlm::client {

// Thread-safe. Calls are sent again when IsRetryable says so; soon after `stop` each ends
// CANCELLED. Errors: the server's, with its message; UNAVAILABLE naming the address when it is not
// there.
class ArtifactClient {
 public:
  // `address` is for messages.
  ArtifactClient(std::shared_ptr<grpc::Channel> channel, std::string address);
  ~ArtifactClient();

  absl::StatusOr<std::vector<v1::Artifact>> List(const std::stop_token& stop);  // all pages
  absl::Status Delete(const std::string& name, const std::stop_token& stop);
  // Without a deadline: it takes as long as the artifact is large.
  absl::StatusOr<v1::VerifyArtifactResponse> Verify(const v1::VerifyArtifactRequest& request,
                                                    const std::stop_token& stop);

 private:
  struct Stub;
  template <typename Invoke>
  absl::Status Call(std::chrono::milliseconds deadline, const std::stop_token& stop,
                    const Invoke& invoke);
  std::unique_ptr<Stub> stub_;
  const std::string address_;
  const RetryPolicy retry_{};
};

// "ID" -> "artifacts/ID"; the whole name stays.
std::string ArtifactName(const std::string& given);

}  // namespace seedlm::client
