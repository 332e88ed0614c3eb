#include <google/protobuf/util/time_util.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/output.h"
#include "client/session.h"
#include "client/table.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

const std::map<std::string, v1::JobState> kStates = {{"QUEUED", v1::JOB_STATE_QUEUED},
                                                     {"RUNNING", v1::JOB_STATE_RUNNING},
                                                     {"SUCCEEDED", v1::JOB_STATE_SUCCEEDED},
                                                     {"FAILED", v1::JOB_STATE_FAILED},
                                                     {"CANCELLED", v1::JOB_STATE_CANCELLED}};

struct Options {
  ServerChoice server;
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  bool json = false;
};

std::string JsonList(const std::vector<v1::Job>& jobs) {
  nlohmann::ordered_json json;
  json["jobs"] = nlohmann::ordered_json::array();
  for (const v1::Job& job : jobs) json["jobs"].push_back(ToJson(job));
  return JsonLine(json);
}

std::string TextList(const std::vector<v1::Job>& jobs) {
  Table table({{"JOB"},
               {"STATE"},
               {"PROFILE"},
               {"DONE", Align::kRight},
               {"WEIGHTS", Align::kRight},
               {"CREATED"}});
  for (const v1::Job& job : jobs) {
    table.AddRow({job.name(), StateName(job.state()), ProfileName(job.spec().profile()),
                  FormatPercent(static_cast<double>(job.progress().weights_done()),
                                static_cast<double>(job.progress().weights_total())),
                  FormatCount(job.progress().weights_total()),
                  google::protobuf::util::TimeUtil::ToString(job.create_time())});
  }
  return table.Render();
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  v1::ListJobsRequest request;
  request.set_state(options.state);
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  const auto jobs = session->jobs->ListJobs(request, interrupt.token());
  if (!jobs.ok()) return jobs.status();
  PrintOut(options.json ? JsonList(*jobs) : TextList(*jobs));
  return kOk;
}

}  // namespace

void AddList(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("list", "The server's jobs, newest first");
  AddServerOption(*sub, options->server);
  sub->add_option("--state", options->state,
                  "Only jobs in this state: QUEUED, RUNNING, SUCCEEDED, FAILED or CANCELLED")
      ->type_name("STATE")
      ->transform(CLI::CheckedTransformer(kStates, CLI::ignore_case).description(""));
  sub->add_flag("--json", options->json, "JSON");
  sub->callback([&chosen, options] {
    chosen = [options](const Interrupt& interrupt) { return Run(*options, interrupt); };
  });
}

}  // namespace seedlm::client
