#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/job_json.h"
#include "client/job_report.h"
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
  const std::string name = JobName(options.job);
  const auto job = session->jobs->GetJob(name, interrupt.token());
  if (!job.ok()) return job.status();
  const auto followed =
      FollowJob(*session->jobs, name, {.show_progress = !options.json}, interrupt);
  if (!followed.ok()) return followed.status();
  if (options.json) PrintOut(JsonLine(ToJson(followed->job)));
  return ReportEnd(followed->job, name);
}

}  // namespace

void AddWait(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* sub =
      app.add_subcommand("wait", "Return when a job has ended; exit code 0 only if it succeeded");
  sub->add_option("JOB", options->job, "The job's name, jobs/ID")->required();
  AddServerOption(*sub, options->server);
  sub->add_flag("--json", options->json, "JSON");
  sub->callback([&chosen, options] {
    chosen = [options](const Interrupt& interrupt) { return Run(*options, interrupt); };
  });
}

}  // namespace seedlm::client
