#include "client/session.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "client/channel.h"

namespace seedlm::client {

void AddServerOption(CLI::App& app, ServerChoice& choice) {
  constexpr char kGroup[] = "Server";
  app.add_option("--server", choice.address, "Address of the server: HOST:PORT or unix:PATH")
      ->envname("SEEDLM_SERVER")
      ->group(kGroup);
  app.add_option("--tls-ca", choice.ca,
                 "PEM file of the authority that signed the server's certificate. Default: TLS to "
                 "other machines only, and the system's authorities")
      ->envname("SEEDLM_CA")
      ->group(kGroup);
  app.add_option("--tls-cert", choice.certificate, "PEM file: a certificate of your own")
      ->group(kGroup);
  app.add_option("--tls-key", choice.key, "PEM file: its key")->group(kGroup);
  app.add_flag("--insecure", choice.insecure,
               "Plaintext, to other machines too: weights and SEEDLM_TOKEN can be read on the way")
      ->group(kGroup);
}

absl::StatusOr<Session> Connect(const ServerChoice& choice) {
  ServerChoice with_token = choice;
  if (const char* token = std::getenv("SEEDLM_TOKEN"); token != nullptr) with_token.token = token;
  auto channel = OpenChannel(with_token);
  if (!channel.ok()) return channel.status();
  Session session;
  session.address = choice.address.empty() ? kDefaultServer : choice.address;
  session.channel = *std::move(channel);
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
