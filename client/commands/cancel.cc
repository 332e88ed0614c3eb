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
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  const auto job = session->jobs->CancelJob(JobName(options.job), interrupt.token());
  if (!job.ok()) return job.status();
  PrintOut(options.json ? JsonLine(ToJson(*job))
                        : job->name() + "  " + StateName(job->state()) + "\n");
  return kOk;
}

}  // namespace

void AddCancel(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("cancel", "Stop a job; resume lets it go on");
  sub->add_option("JOB", options->job, "The job's name, jobs/ID")->required();
  AddServerOption(*sub, options->server);
  sub->add_flag("--json", options->json, "JSON");
  sub->callback([&chosen, options] {
    chosen = [options](const Interrupt& interrupt) { return Run(*options, interrupt); };
  });
}

}  // namespace seedlm::client
