// Where a command finds the service: at an address, or in the process.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/embedded_server.h"
#include "client/job_client.h"

namespace CLI {
class App;
}

namespace seedlm::client {

inline constexpr char kDefaultServer[] = "127.0.0.1:7433";

// Adds --server, which SEEDLM_SERVER stands in for. REQUIRES: `address` outlives `app`.
void AddServerOption(CLI::App& app, std::string& address);

// Keeps the embedded server alive for as long as the channel is used.
struct Session {
  std::unique_ptr<EmbeddedServer> embedded;  // null with a server of its own
  std::shared_ptr<grpc::Channel> channel;
  std::string address;  // for messages
  std::unique_ptr<JobClient> jobs;
};

// The server at `address`; kDefaultServer if that is empty.
Session Connect(const std::string& address);

absl::StatusOr<Session> StartEmbedded(const EmbeddedServer::Options& options);

}  // namespace seedlm::client
