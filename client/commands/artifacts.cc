// seedlm artifacts: what a server keeps, and how to be rid of it.
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/artifact_client.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/local_time.h"
#include "client/output.h"
#include "client/session.h"
#include "client/table.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

struct Options {
  ServerChoice server;
  std::vector<std::string> names;  // to delete
  std::string name;                // to verify
  int sample = 4;
  bool json = false;
};

std::string TextList(const std::vector<v1::Artifact>& artifacts) {
  const bool owners =
      std::any_of(artifacts.begin(), artifacts.end(),
                  [](const v1::Artifact& artifact) { return !artifact.owner().empty(); });
  std::vector<Column> columns{{"ARTIFACT"},
                              {"FILES", Align::kRight},
                              {"SIZE", Align::kRight},
                              {"ARRIVING", Align::kRight},
                              {"CREATED"},
                              {"MADE BY"}};
  if (owners) columns.push_back({"OWNER"});
  Table table(std::move(columns));
  for (const v1::Artifact& artifact : artifacts) {
    std::vector<std::string> row{
        artifact.name(),
        absl::StrCat(artifact.file_count()),
        FormatBytes(static_cast<uint64_t>(artifact.size())),
        artifact.arriving_files() > 0
            ? FormatBytes(static_cast<uint64_t>(artifact.arriving_bytes()))
            : "",
        artifact.has_create_time() ? FormatTime(artifact.create_time()) : "",
        artifact.job().empty() ? "an upload" : artifact.job()};
    if (owners) row.push_back(artifact.owner());
    table.AddRow(std::move(row));
  }
  return table.Render();
}

nlohmann::ordered_json ToJson(const v1::Artifact& artifact) {
  nlohmann::ordered_json json = {{"name", artifact.name()},
                                 {"job", artifact.job()},
                                 {"owner", artifact.owner()},
                                 {"create_time", nullptr},
                                 {"size", artifact.size()},
                                 {"file_count", artifact.file_count()},
                                 {"arriving_files", artifact.arriving_files()},
                                 {"arriving_bytes", artifact.arriving_bytes()}};
  if (artifact.has_create_time()) {
    json["create_time"] = google::protobuf::util::TimeUtil::ToString(artifact.create_time());
  }
  json["files"] = nlohmann::ordered_json::array();
  for (const v1::OutputFile& file : artifact.files()) {
    json["files"].push_back(
        {{"path", file.path()}, {"size", file.size()}, {"sha256", file.sha256()}});
  }
  return json;
}

absl::StatusOr<ExitCode> List(const Options& options, const Interrupt& interrupt) {
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  ArtifactClient client(session->channel, session->address);
  const auto artifacts = client.List(interrupt.token());
  if (!artifacts.ok()) return artifacts.status();
  if (!options.json) {
    PrintOut(TextList(*artifacts));
    return kOk;
  }
  nlohmann::ordered_json json;
  json["artifacts"] = nlohmann::ordered_json::array();
  for (const v1::Artifact& artifact : *artifacts) json["artifacts"].push_back(ToJson(artifact));
  PrintOut(JsonLine(json));
  return kOk;
}

absl::StatusOr<ExitCode> Delete(const Options& options, const Interrupt& interrupt) {
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  ArtifactClient client(session->channel, session->address);
  for (const std::string& name : options.names) {
    absl::Status status = client.Delete(ArtifactName(name), interrupt.token());
    if (!status.ok()) return status;
  }
  return kOk;
}

std::string ToText(const v1::VerifyArtifactResponse& checked) {
  Table table(
      {{"TENSOR"}, {"SHAPE"}, {"RELATIVE ERROR", Align::kRight}, {"MAX ERROR", Align::kRight}});
  for (const v1::TensorResult& tensor : checked.tensors()) {
    table.AddRow({tensor.name(), FormatShape(std::array{tensor.rows(), tensor.columns()}),
                  absl::StrFormat("%.4f", tensor.relative_error()),
                  absl::StrFormat("%.4g", tensor.max_error())});
  }
  if (!checked.compared()) {
    return absl::StrCat("not compared with its source: ", checked.why_not_compared(), "\n",
                        checked.files_summed(), " files have the sums that the job recorded\n");
  }
  table.AddRow({"all", "", absl::StrFormat("%.4f", checked.relative_error()), ""});
  return table.Render() + FormatIdentical(checked.passed_through());
}

nlohmann::ordered_json ToJson(const v1::VerifyArtifactResponse& checked) {
  nlohmann::ordered_json json;
  json["ok"] = checked.problem_count() == 0;
  json["compared"] = checked.compared();
  json["why_not_compared"] = checked.why_not_compared();
  json["files_summed"] = checked.files_summed();
  json["tensors"] = nlohmann::ordered_json::array();
  for (const v1::TensorResult& tensor : checked.tensors()) {
    json["tensors"].push_back({{"name", tensor.name()},
                               {"rows", tensor.rows()},
                               {"columns", tensor.columns()},
                               {"relative_error", tensor.relative_error()},
                               {"max_error", tensor.max_error()}});
  }
  json["relative_error"] = checked.relative_error();
  json["passed_through"] = checked.passed_through();
  json["problems"] = nlohmann::ordered_json::array();
  for (const std::string& problem : checked.problems()) json["problems"].push_back(problem);
  return json;
}

absl::StatusOr<ExitCode> Verify(const Options& options, const Interrupt& interrupt) {
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  ArtifactClient client(session->channel, session->address);
  v1::VerifyArtifactRequest request;
  request.set_name(ArtifactName(options.name));
  request.set_sample_blocks(options.sample);
  const auto checked = client.Verify(request, interrupt.token());
  if (!checked.ok()) return checked.status();
  if (options.json) {
    PrintOut(JsonLine(ToJson(*checked)));
  } else if (checked->problem_count() == 0) {
    PrintOut(ToText(*checked));
  }
  for (const std::string& problem : checked->problems()) {
    PrintError(absl::StrCat(request.name(), ": ", problem, "; compress it again"));
  }
  return checked->problem_count() == 0 ? kOk : kCheckFailed;
}

using Work = absl::StatusOr<ExitCode> (*)(const Options&, const Interrupt&);

struct Added {
  Command command;
  std::shared_ptr<Options> options;  // its own: the environment stands in for all commands at once
};

Added AddCommand(Command& artifacts, const char* name, const char* description, Work work) {
  auto options = std::make_shared<Options>();
  Command command = artifacts.Subcommand(name, description);
  AddServerOption(command, options->server);
  command.Runs([options, work](const Interrupt& interrupt) { return work(*options, interrupt); });
  return {command, options};
}

}  // namespace

void AddArtifacts(Command& app) {
  Command artifacts = app.Subcommand("artifacts", "Uploads and results that the server keeps");
  artifacts.RequireSubcommand();
  Added list = AddCommand(artifacts, "list", "All of them", List);
  list.command.AddFlag("--json", list.options->json, "JSON");
  Added remove = AddCommand(artifacts, "delete", "Delete some and make their room free", Delete);
  remove.command.Add("ARTIFACT", remove.options->names, "The name, artifacts/ID, or ID").Required();
  Added verify = AddCommand(artifacts, "verify",
                            "Check a result on the server, against its source if that is still "
                            "there; exit code 1 if it fails",
                            Verify);
  verify.command.Add("ARTIFACT", verify.options->name, "The name, artifacts/ID, or ID").Required();
  verify.command.Add("--sample", verify.options->sample, "Blocks of each tensor to encode again")
      .Range(0, 10'000)
      .Default("4");
  verify.command.AddFlag("--json", verify.options->json, "JSON");
}

}  // namespace seedlm::client
