#include "client/session.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "client/output.h"

namespace seedlm::client {

void AddServerOption(CLI::App& app, std::string& address) {
  app.add_option("--server", address, "Address of the server: HOST:PORT or unix:PATH")
      ->envname("SEEDLM_SERVER");
}

Session Connect(const std::string& address) {
  if (const char* token = std::getenv("SEEDLM_TOKEN"); token != nullptr && *token != '\0') {
    PrintNote("warning: SEEDLM_TOKEN is not sent: this version has no authentication; unset it");
  }
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
