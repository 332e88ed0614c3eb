// The one place where absl::Status becomes what the wire carries.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace seedlm::server {

inline constexpr std::string_view kErrorDomain = "seedlm";

// google.rpc.Status with an ErrorInfo {reason, domain "seedlm", details}, and a RetryInfo where the
// status has a hint, and for UNAVAILABLE (1 s) without one. A status without a reason
// gets the name of its code ("NOT_FOUND"). Text is made valid UTF-8 and cut, so that message and
// details fit into HTTP/2 trailers (8 KiB). OK gives an empty message.
google::rpc::Status ToProtoStatus(const absl::Status& status);

// The same, in grpc-status-details-bin.
grpc::Status ToGrpcStatus(const absl::Status& status);

// `text` cut to `limit` bytes, invalid UTF-8 replaced by '?': protobuf strings must be UTF-8, and
// file names and messages of the system need not be.
std::string ValidUtf8(std::string_view text, size_t limit = std::string_view::npos);

}  // namespace seedlm::server
