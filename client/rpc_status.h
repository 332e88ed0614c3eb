// From the wire's status to the client's.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"

namespace google::rpc {
class Status;
}
namespace grpc {
class Status;
}

namespace seedlm::client {

// The same code and message; reason and metadata of ErrorInfo and the delay of RetryInfo, if there
// are such, as payloads. A server that cannot be reached, or lets nobody in without another token,
// is named with `address` and the way out.
// UNAVAILABLE also for a call that gRPC cancelled: the server has ended, or we have.
absl::Status FromRpc(const grpc::Status& status, const std::string& address);

// A job's error, `thing` in front of the message.
absl::Status FromProto(const google::rpc::Status& status, const std::string& thing);

// The ErrorInfo reason ("OUTPUT_EXISTS") of a status made above, or "".
std::string ErrorReason(const absl::Status& status);

// The ErrorInfo metadata of one ({"field", "job.source.artifact"}).
std::map<std::string, std::string> ErrorDetails(const absl::Status& status);

// When the server wants the same request again (RetryInfo); nothing if it did not say.
std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status);
// `status` as if the server had said so.
absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay);

}  // namespace seedlm::client
