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
  if (options.json) {
    PrintOut(JsonLine({{"name", JobName(options.job)}, {"output", options.out}}));
  } else {
    PrintNote(options.out + ": written");
  }
  return kOk;
}

}  // namespace

void AddReport(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("report", "Write a job's figures and pictures as one HTML page");
  sub.Add("JOB", options->job, "The job's name, jobs/ID").Required();
  sub.Add("-o,--output", options->out, "The page").ValueName("FILE").Required();
  AddServerOption(sub, options->server);
  sub.AddFlag("--force", options->force, "Replace the page if it exists");
  sub.AddFlag("--json", options->json, "Say what was written as JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
