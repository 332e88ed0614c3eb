#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/session.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string job;
  ServerChoice server;
  bool json = false;
};

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const std::string name = JobName(options.job);
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  absl::Status status = session->jobs->DeleteJob(name, interrupt.token());
  if (!status.ok()) return status;
  PrintOut(options.json ? JsonLine({{"name", name}, {"deleted", true}}) : name + "  deleted\n");
  return kOk;
}

}  // namespace

void AddDelete(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand(
      "delete", "Remove a job that has ended, and its result where the server keeps it");
  sub->add_option("JOB", options->job, "The job's name, jobs/ID")->required();
  AddServerOption(*sub, options->server);
  sub->add_flag("--json", options->json, "JSON");
  sub->callback([&chosen, options] {
    chosen = [options](const Interrupt& interrupt) { return Run(*options, interrupt); };
  });
}

}  // namespace seedlm::client
