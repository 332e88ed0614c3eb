#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/output.h"
#include "client/session.h"
#include "client/table.h"

namespace seedlm::client {
namespace {

struct Options {
  ServerChoice server;
  bool json = false;
};

std::string ToText(const v1::Capabilities& capabilities) {
  Table table({{"BACKEND"}, {"AVAILABLE"}, {"WORKERS", Align::kRight}, {"DESCRIPTION"}});
  for (const auto& backend : capabilities.backends()) {
    table.AddRow({backend.name(), backend.available() ? "yes" : "no",
                  absl::StrCat(backend.workers()),
                  backend.available() ? backend.description() : backend.why_unavailable()});
  }
  std::string out = absl::StrCat("version ", capabilities.version(), ", profiles");
  for (const int profile : capabilities.profiles()) {
    absl::StrAppend(&out, " ", ProfileName(static_cast<v1::Profile>(profile)));
  }
  return absl::StrCat(out, "\n", table.Render());
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  absl::StatusOr<Session> session =
      options.server.empty() ? StartEmbedded({}) : Connect(options.server);
  if (!session.ok()) return session.status();
  const auto capabilities = session->jobs->GetCapabilities(interrupt.token());
  if (!capabilities.ok()) return capabilities.status();
  PrintOut(options.json ? JsonLine(ToJson(*capabilities)) : ToText(*capabilities));
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
