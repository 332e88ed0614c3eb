#include <CLI/CLI.hpp>

#include "client/commands/commands.h"

namespace seedlm::client {

// The name is taken, so that a script that has it learns what is missing.
void AddReport(CLI::App& app, Action& chosen) {
  CLI::App* sub = app.add_subcommand("report", "A job's report as a file (not in this version)");
  sub->allow_extras();
  sub->callback([&chosen] {
    chosen = [](const Interrupt& /*interrupt*/) -> absl::StatusOr<ExitCode> {
      return absl::UnimplementedError(
          "report: is not in this version; seedlm status JOB --json and seedlm verify --json have "
          "its figures");
    };
  });
}

}  // namespace seedlm::client
