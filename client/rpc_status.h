// From the wire's status to the client's.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace google::rpc {
class Status;
}
namespace grpc {
class Status;
}

namespace seedlm::client {

// The same code and message; the ErrorInfo reason, if there is one, as a payload. A server that
// cannot be reached is named with `address` and the way out.
absl::Status FromRpc(const grpc::Status& status, const std::string& address);

// A job's error, `thing` in front of the message.
absl::Status FromProto(const google::rpc::Status& status, const std::string& thing);

// The ErrorInfo reason ("OUTPUT_EXISTS") of a status made above, or "".
std::string ErrorReason(const absl::Status& status);

}  // namespace seedlm::client
