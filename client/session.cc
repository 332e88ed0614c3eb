#include "client/session.h"

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/channel.h"
#include "client/job_request.h"
#include "client/output.h"

namespace seedlm::client {

void AddServerOption(Command& command, ServerChoice& choice) {
  constexpr char kGroup[] = "Server";
  command.Add("--server", choice.address, "Address of the server: HOST:PORT or unix:PATH")
      .Environment("SEEDLM_SERVER")
      .Group(kGroup);
  command
      .Add("--tls-ca", choice.ca,
           "PEM file of the authority that signed the server's certificate. Default: TLS to "
           "other machines only, and the system's authorities")
      .Environment("SEEDLM_CA")
      .Group(kGroup);
  command.Add("--tls-cert", choice.certificate, "PEM file: a certificate of your own")
      .Group(kGroup);
  command.Add("--tls-key", choice.key, "PEM file: its key").Group(kGroup);
  command
      .AddFlag("--insecure", choice.insecure,
               "Plaintext, to other machines too: weights and SEEDLM_TOKEN can be read on the way")
      .Group(kGroup);
}

absl::StatusOr<Session> Connect(const ServerChoice& choice) {
  ServerChoice with_token = choice;
  if (const char* token = std::getenv("SEEDLM_TOKEN"); token != nullptr) with_token.token = token;
  auto channel = OpenChannel(with_token);
  if (!channel.ok()) return channel.status();
  Session session;
  session.address = choice.address.empty() ? kDefaultServer : choice.address;
  session.channel = *std::move(channel);
  session.jobs = std::make_unique<JobClient>(
      session.channel, session.address, Patience{.on_wait = [](const std::string& why) {
        PrintNote(absl::StrCat("waits for the server, and asks again: ", why));
      }});
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

absl::Status CheckSourceHere(const std::string& path, v1::CompressionSpec spec,
                             const std::stop_token& stop) {
  const auto session = StartEmbedded({.threads = 1, .index_memory = 0});
  if (!session.ok()) return session.status();
  spec.clear_backend();
  v1::CreateJobRequest request;
  request.set_validate_only(true);
  request.mutable_job()->mutable_source()->set_uri(FileUri(path));
  request.mutable_job()->mutable_destination()->set_managed(true);
  *request.mutable_job()->mutable_spec() = std::move(spec);
  return session->jobs->CreateJob(std::move(request), stop).status();
}

}  // namespace seedlm::client
