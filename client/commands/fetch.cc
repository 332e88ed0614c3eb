#include <CLI/CLI.hpp>
#include <memory>

#include "client/commands/commands.h"
#include "client/job_request.h"
#include "client/output_path.h"
#include "client/progress_bar.h"
#include "client/session.h"
#include "client/transfer.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string job, out, server;
  bool force = false;
};

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const auto out = AbsolutePath(options.out);
  if (!out.ok()) return out.status();
  const Session session = Connect(options.server);
  const auto job = session.jobs->GetJob(JobName(options.job));
  if (!job.ok()) return job.status();
  // "OUT/" asks for a directory even if the result is one file.
  const bool as_directory = options.out.back() == '/' || !IsSingleFile(*job);
  absl::Status status = CheckOutput("", *out, as_directory, options.force);
  if (!status.ok()) return status;
  ProgressBar bar;
  TransferClient transfer(session.channel, session.address, interrupt.token(),
                          [&](const ProgressView& view) { bar.Update(view); });
  status = transfer.Fetch(*job, *out, as_directory, options.force);
  if (!status.ok()) return status;
  return kOk;
}

}  // namespace

void AddFetch(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("fetch", "Download a job's result");
  sub->add_option("JOB", options->job, "The job's name, jobs/ID")->required();
  sub->add_option("OUT", options->out, "The file or directory to make")->required();
  AddServerOption(*sub, options->server);
  sub->add_flag("--force", options->force, "Replace OUT if it exists");
  sub->callback([&chosen, options] {
    chosen = [options](const Interrupt& interrupt) { return Run(*options, interrupt); };
  });
}

}  // namespace seedlm::client
