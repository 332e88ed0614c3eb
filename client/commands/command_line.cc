#include <grpc/support/log.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <exception>
#include <sstream>
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
  Command program(app, chosen);
  program.RequireSubcommand();
  AddCompress(program);
  AddDecompress(program);
  AddVerify(program);
  AddInspect(program);
  AddEstimate(program);
  AddDevices(program);
  AddSubmit(program);
  AddStatus(program);
  AddWatch(program);
  AddWait(program);
  AddList(program);
  AddCancel(program);
  AddResume(program);
  AddDelete(program);
  AddFetch(program);
  AddArtifacts(program);
  AddReport(program);
}

// What was not understood, and by which command: "'lst': no such command of seedlm artifacts".
std::string UsageError(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  std::string name = "seedlm";
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    name += " " + command->get_name();
  }
  const std::vector<std::string> unknown = app.remaining(true);
  const std::string help = absl::StrCat("; see ", name, " --help");
  if (unknown.empty()) return error.what() + help;
  if (!command->get_subcommands([](const CLI::App*) { return true; }).empty()) {
    return absl::StrCat("'", unknown.front(), "': no such command of ", name, help);
  }
  const auto option = std::find_if(unknown.begin(), unknown.end(), [](const std::string& word) {
    return word.size() > 1 && word[0] == '-';
  });
  if (option != unknown.end()) return absl::StrCat(*option, ": no such option of ", name, help);
  return absl::StrCat("'", unknown.front(), "': one argument too many", help);
}

// `code`, unless what was asked for could not be written.
int AfterOutput(int code) {
  const absl::Status written = OutputStatus();
  if (written.ok()) return code;
  PrintError(WithWayOut(written));
  return code == kOk ? kStorage : code;
}

int Run(const Action& action) {
  const Interrupt interrupt;
  absl::StatusOr<ExitCode> result = kInternal;
  try {
    result = action(interrupt);
  } catch (const std::exception& error) {
    result = absl::InternalError(absl::StrCat(error.what(), "; this is a defect, report it"));
  }
  if (result.ok()) return AfterOutput(*result);
  const int code = interrupt.requested() && absl::IsCancelled(result.status())
                       ? kInterrupted
                       : ExitCodeFor(result.status());
  PrintError(WithWayOut(result.status()));
  return code;
}

}  // namespace

int Main(int argc, char** argv) {
  KeepStandardStreams();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that left is no reason to leave scratch behind
  // What a command has to say of a lost connection it says itself.
  gpr_set_log_function([](gpr_log_func_args*) {});
  CLI::App app;
  Action chosen;
  Declare(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help, --version
      std::ostringstream text;
      app.exit(error, text, text);
      PrintOut(text.str());
      return AfterOutput(kOk);
    }
    PrintError(UsageError(app, error));
    return kUsage;
  }
  return Run(chosen);
}

}  // namespace seedlm::client
