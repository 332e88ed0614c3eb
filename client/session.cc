#include "client/session.h"

#include <CLI/CLI.hpp>

namespace seedlm::client {

void AddServerOption(CLI::App& app, std::string& address) {
  app.add_option("--server", address, "Address of the server: HOST:PORT or unix:PATH")
      ->envname("SEEDLM_SERVER");
}

Session Connect(const std::string& address) {
  Session session;
  session.address = address.empty() ? kDefaultServer : address;
  session.channel = OpenChannel(session.address);
  session.jobs = std::make_unique<JobClient>(session.channel, session.address);
  return session;
}

absl::StatusOr<Session> StartEmbedded(const EmbeddedServer::Options& options) {
  auto server = EmbeddedServer::Start(options);
  if (!server.ok()) return server.status();
  Session session;
  session.embedded = *std::move(server);
  session.address = "the server in this process";
  session.channel = session.embedded->channel();
  session.jobs = std::make_unique<JobClient>(session.channel, session.address);
  return session;
}

}  // namespace seedlm::client
