// The gRPC channel to a server: transport, token, and what a connection that fails means.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/server_choice.h"

namespace grpc {
class Channel;
}

namespace seedlm::client {

// Connects on first use, past any proxy. Every call carries the token. Calls that fail because one
// side speaks TLS and the other does not, or because a certificate is not believed, end with
// UNAUTHENTICATED and the way out, and are not repeated.
// Errors: those of CheckServerChoice; NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT naming a file.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ServerChoice& choice);

}  // namespace seedlm::client
