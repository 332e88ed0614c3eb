#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/report/report_file.h"
#include "client/session.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string job, out;
  ServerChoice server;
  bool force = false;
  bool json = false;
};

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const auto path = ReportPath(options.out, options.force, {});
  if (!path.ok()) return path.status();
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  absl::Status status =
      WriteReport(*session->jobs, JobName(options.job), *path, options.force, interrupt.token());
  if (!status.ok()) return status;
  if (options.json) PrintOut(JsonLine({{"name", JobName(options.job)}, {"output", options.out}}));
  return kOk;
}

}  // namespace

void AddReport(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* sub =
      app.add_subcommand("report", "Write a job's figures and pictures as one HTML page");
  sub->add_option("JOB", options->job, "The job's name, jobs/ID")->required();
  sub->add_option("-o,--output", options->out, "The page")->type_name("FILE")->required();
  AddServerOption(*sub, options->server);
  sub->add_flag("--force", options->force, "Replace the page if it exists");
  sub->add_flag("--json", options->json, "Say what was written as JSON");
  sub->callback([&chosen, options] {
    chosen = [options](const Interrupt& interrupt) { return Run(*options, interrupt); };
  });
}

}  // namespace seedlm::client
