#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/local_time.h"
#include "client/output.h"
#include "client/session.h"
#include "client/spec_options.h"
#include "client/table.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

struct Options {
  ServerChoice server;
  std::string state;  // without JOB_STATE_; empty: all
  std::vector<std::string> labels;
  bool json = false;
};

std::string JsonList(const std::vector<v1::Job>& jobs) {
  nlohmann::ordered_json json;
  json["jobs"] = nlohmann::ordered_json::array();
  for (const v1::Job& job : jobs) {
    auto row = ToJson(job);
    // A server leaves these out of a list: empty they would be wrong.
    row.erase("output_files");
    row.erase("output_file_count");
    if (row.contains("estimate")) row["estimate"].erase("skipped");
    json["jobs"].push_back(std::move(row));
  }
  return JsonLine(json);
}

std::string TextList(const std::vector<v1::Job>& jobs) {
  const bool owners = std::any_of(jobs.begin(), jobs.end(),
                                  [](const v1::Job& job) { return !job.owner().empty(); });
  std::vector<Column> columns{
      {"JOB"},    {"STATE"}, {"PROFILE"}, {"DONE", Align::kRight}, {"WEIGHTS", Align::kRight},
      {"CREATED"}};
  if (owners) columns.push_back({"OWNER"});
  Table table(std::move(columns));
  for (const v1::Job& job : jobs) {
    std::vector<std::string> row{job.name(),
                                 StateText(job),
                                 ProfileName(job.spec().profile()),
                                 FormatPercent(static_cast<double>(job.progress().weights_done()),
                                               static_cast<double>(job.progress().weights_total())),
                                 FormatCount(job.progress().weights_total()),
                                 FormatTime(job.create_time())};
    if (owners) row.push_back(job.owner());
    table.AddRow(std::move(row));
  }
  return table.Render();
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  v1::ListJobsRequest request;
  if (!options.state.empty()) {
    v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
    v1::JobState_Parse("JOB_STATE_" + options.state, &state);
    request.set_state(state);
  }
  AddLabels(options.labels, *request.mutable_labels());
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  const auto jobs = session->jobs->ListJobs(request, interrupt.token());
  if (!jobs.ok()) return jobs.status();
  PrintOut(options.json ? JsonList(*jobs) : TextList(*jobs));
  return kOk;
}

}  // namespace

void AddList(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("list", "The server's jobs, newest first");
  AddServerOption(sub, options->server);
  sub.Add("--state", options->state,
          "Only jobs in this state: QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED")
      .OneOf({"QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"})
      .ValueName("STATE");
  AddLabelOption(sub, options->labels, "Only jobs with this label; all of them, if repeated");
  sub.AddFlag("--json", options->json, "JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
