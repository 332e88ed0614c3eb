#include <memory>
#include <nlohmann/json.hpp>

#include "client/capabilities_text.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/output.h"
#include "client/session.h"

namespace seedlm::client {
namespace {

struct Options {
  ServerChoice server;
  bool json = false;
};

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  absl::StatusOr<Session> session =
      options.server.empty() ? StartEmbedded({}) : Connect(options.server);
  if (!session.ok()) return session.status();
  const auto capabilities = session->jobs->GetCapabilities(interrupt.token());
  if (!capabilities.ok()) return capabilities.status();
  PrintOut(options.json ? JsonLine(ToJson(*capabilities)) : CapabilitiesText(*capabilities));
  return kOk;
}

}  // namespace

void AddDevices(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("devices", "What can search here, or on a server");
  AddServerOption(sub, options->server);
  sub.AddFlag("--json", options->json, "JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
