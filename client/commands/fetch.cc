#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/checkpoint_notes.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_report.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/output_path.h"
#include "client/progress_bar.h"
#include "client/session.h"
#include "client/text.h"
#include "client/transfer.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string job, out;
  ServerChoice server;
  bool force = false;
  bool json = false;
};

nlohmann::ordered_json ToJson(const v1::Job& job, const std::string& out) {
  nlohmann::ordered_json json = {{"name", job.name()}, {"output", out}};
  json["files"] = nlohmann::ordered_json::array();
  for (const auto& file : job.output_files()) {
    json["files"].push_back(
        {{"path", file.path()}, {"size", file.size()}, {"sha256", file.sha256()}});
  }
  return json;
}

uint64_t TotalBytes(const v1::Job& job) {
  uint64_t bytes = 0;
  for (const auto& file : job.output_files()) bytes += static_cast<uint64_t>(file.size());
  return bytes;
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  const auto job = session->jobs->GetJob(JobName(options.job), interrupt.token());
  if (!job.ok()) return job.status();
  // First of all whether there is a result: of a job that failed, why.
  if (HasEnded(job->state()) && job->state() != v1::JOB_STATE_SUCCEEDED) {
    return ReportEnd(*job, job->name());
  }
  const bool is_directory = !IsSingleFile(*job);
  const auto out =
      OutputPath(options.out, is_directory, is_directory ? "" : job->output_files(0).path());
  if (!out.ok()) return out.status();
  ProgressBar bar;
  const TransferContext transfer{
      .channel = session->channel,
      .address = session->address,
      .stop = interrupt.token(),
      .on_progress = [&](const ProgressView& view) { bar.Update(view); }};
  absl::Status status = CheckResult(*job);
  if (status.ok()) {
    status = CheckOutput("", *out, is_directory, options.force, ContentsOf(*job));
  }
  if (status.ok()) status = Fetch(transfer, *job, *out, options.force);
  bar.Clear();
  if (!status.ok()) return status;
  if (options.json) {
    PrintOut(JsonLine(ToJson(*job, *out)));
  } else {
    std::vector<std::string> paths;
    for (const auto& file : job->output_files()) paths.push_back(file.path());
    if (const std::string note = NoteOfOtherWeights(paths); !note.empty()) PrintNote(note);
    PrintNote(absl::StrCat(*out, ": ", FormatBytes(TotalBytes(*job)), ", checksums verified"));
  }
  return kOk;
}

}  // namespace

void AddFetch(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("fetch", "Download a job's result");
  sub.Add("JOB", options->job, "The job's name, jobs/ID").Required();
  sub.Add("OUT", options->out, "The file or directory to make; DIR/: a file in DIR").Required();
  AddServerOption(sub, options->server);
  sub.AddFlag("--force", options->force, "Replace OUT if it exists");
  sub.AddFlag("--json", options->json, "What was written, as JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
