// Where a command finds the service: at an address, or in the process.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "client/command.h"
#include "client/embedded_server.h"
#include "client/job_client.h"
#include "client/server_choice.h"

namespace seedlm::client {

// Adds --server and what it takes to get in there: --tls-ca, --tls-cert, --tls-key, --insecure.
// SEEDLM_SERVER and SEEDLM_CA stand in for the first two; SEEDLM_TOKEN has no option, as other
// users see command lines. REQUIRES: `choice` outlives the parsing.
void AddServerOption(Command& command, ServerChoice& choice);

// Keeps the embedded server alive for as long as the channel is used.
struct Session {
  std::unique_ptr<EmbeddedServer> embedded;  // null with a server of its own
  std::shared_ptr<grpc::Channel> channel;
  std::string address;  // for messages
  std::unique_ptr<JobClient> jobs;
};

// The server that was chosen; nothing is sent yet. Errors: those of OpenChannel.
absl::StatusOr<Session> Connect(const ServerChoice& choice);

absl::StatusOr<Session> StartEmbedded(const EmbeddedServer::Options& options);

// What a server would refuse of the checkpoint at `path` once it is uploaded: a pattern that
// matches nothing, a header that is none. From headers alone, by a server in this process; of the
// backend, which is not here, nothing.
absl::Status CheckSourceHere(const std::string& path, v1::CompressionSpec spec,
                             const std::stop_token& stop);

}  // namespace seedlm::client
