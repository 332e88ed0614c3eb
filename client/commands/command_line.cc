#include <grpc/support/log.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/output.h"
#include "client/way_out.h"

namespace seedlm::client {
namespace {

constexpr char kVersion[] = SEEDLM_VERSION;  // of the project, from CMake

void Declare(CLI::App& app, Action& chosen) {
  app.description(
      "Compresses the weights of language models into seeds of pseudo-random "
      "generators, here or on a server.");
  app.footer(std::string(kExitCodesHelp));
  app.set_version_flag("--version", absl::StrCat("seedlm ", kVersion));
  app.require_subcommand(1);
  AddCompress(app, chosen);
  AddDecompress(app, chosen);
  AddVerify(app, chosen);
  AddInspect(app, chosen);
  AddEstimate(app, chosen);
  AddDevices(app, chosen);
  AddSubmit(app, chosen);
  AddStatus(app, chosen);
  AddWatch(app, chosen);
  AddWait(app, chosen);
  AddList(app, chosen);
  AddCancel(app, chosen);
  AddResume(app, chosen);
  AddDelete(app, chosen);
  AddFetch(app, chosen);
  AddArtifacts(app, chosen);
  AddReport(app, chosen);
}

int Run(const Action& action) {
  const Interrupt interrupt;
  absl::StatusOr<ExitCode> result = kInternal;
  try {
    result = action(interrupt);
  } catch (const std::exception& error) {
    result = absl::InternalError(absl::StrCat(error.what(), "; this is a defect, report it"));
  }
  if (result.ok()) return *result;
  const int code = interrupt.requested() && absl::IsCancelled(result.status())
                       ? kInterrupted
                       : ExitCodeFor(result.status());
  PrintError(WithWayOut(result.status()));
  return code;
}

}  // namespace

int Main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that left is no reason to leave scratch behind
  // What a command has to say of a lost connection it says itself.
  gpr_set_log_function([](gpr_log_func_args*) {});
  CLI::App app;
  Action chosen;
  Declare(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const std::vector<std::string> unknown = app.remaining();
    if (app.get_subcommands().empty() && !unknown.empty()) {
      PrintError(absl::StrCat("'", unknown.front(), "': no such command; see seedlm --help"));
      return kUsage;
    }
    std::string command = "seedlm";
    for (const CLI::App* sub : app.get_subcommands()) command += " " + sub->get_name();
    PrintError(absl::StrCat(error.what(), "; see ", command, " --help"));
    return kUsage;
  }
  return Run(chosen);
}

}  // namespace seedlm::client
