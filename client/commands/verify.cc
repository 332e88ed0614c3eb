#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/progress_bar.h"
#include "client/table.h"
#include "client/text.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/verify/verifier.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string compressed, original, activations;
  std::string backend = "auto";
  double max_error = -1;
  int sample = 4;
  bool json = false;
};

std::string ToText(const verify::VerifyReport& report, bool with_outputs) {
  const std::string identical = FormatIdentical(static_cast<int64_t>(report.passed_through.size()));
  if (report.tensors.empty()) return "no compressed tensor could be compared\n" + identical;
  std::vector<Column> columns = {
      {"TENSOR"}, {"SHAPE"}, {"RELATIVE ERROR", Align::kRight}, {"MAX ERROR", Align::kRight}};
  if (with_outputs) columns.push_back({"OUTPUT ERROR", Align::kRight});
  Table table(columns);
  const auto add = [&](std::vector<std::string> row, const std::string& output_error) {
    if (with_outputs) row.push_back(output_error);
    table.AddRow(std::move(row));
  };
  for (const verify::TensorCheck& tensor : report.tensors) {
    add({tensor.name, FormatShape(std::array{tensor.rows, tensor.columns}),
         absl::StrFormat("%.4f", tensor.relative_error()),
         absl::StrFormat("%.4g", tensor.max_error)},
        tensor.samples > 0 ? absl::StrFormat("%.4f", tensor.output_error()) : "-");
  }
  add({"all", "", absl::StrFormat("%.4f", report.relative_error()),
       absl::StrFormat("%.4g", report.max_error())},
      "");
  return table.Render() + identical;
}

nlohmann::ordered_json ToJson(const verify::VerifyReport& report) {
  nlohmann::ordered_json json;
  json["ok"] = report.problems.empty();
  json["tensors"] = nlohmann::ordered_json::array();
  for (const verify::TensorCheck& tensor : report.tensors) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"rows", tensor.rows},
                               {"columns", tensor.columns},
                               {"relative_error", tensor.relative_error()},
                               {"max_error", tensor.max_error}});
    if (tensor.samples == 0) continue;
    json["tensors"].back()["output_error"] = tensor.output_error();
    json["tensors"].back()["samples"] = tensor.samples;
  }
  json["relative_error"] = nullptr;  // of nothing there is none
  json["max_error"] = nullptr;
  if (!report.tensors.empty()) {
    json["relative_error"] = report.relative_error();
    json["max_error"] = report.max_error();
  }
  json["passed_through"] = report.passed_through;
  json["problems"] = report.problems;
  return json;
}

// A problem with its way out. Where the two checkpoints do not agree, either may be the cause.
std::string WithWayOut(const std::string& problem) {
  if (absl::StrContains(problem, "; ")) return problem;
  for (const char* of_two :
       {"in the original", "those of the original", "is missing from the compressed checkpoint"}) {
    if (!absl::StrContains(problem, of_two)) continue;
    return absl::StrCat(problem,
                        "; it is damaged, or the original is another one: give the one that was "
                        "compressed, or compress this one");
  }
  return absl::StrCat(problem, "; compress it again");
}

// The original must not be compressed itself: nothing of it has its name then.
absl::Status CheckOriginal(const std::string& path, const format::Checkpoint& original) {
  for (const auto& file : original.files) {
    if (!file.file->metadata().contains(std::string(format::kMetadataKey))) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is compressed itself; give the checkpoint that was compressed"));
  }
  return absl::OkStatus();
}

// A file that is refused for its structure is a damaged one, and the check has failed.
absl::StatusOr<ExitCode> Refused(const Options& options, const absl::Status& status) {
  if (!absl::IsInvalidArgument(status)) return status;
  if (options.json) {
    verify::VerifyReport report;
    report.problems.push_back(std::string(status.message()));
    PrintOut(JsonLine(ToJson(report)));
  }
  PrintError(absl::StrCat(status.message(), "; compress it again"));
  return kCheckFailed;
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const auto original_path = InputPath(options.original);
  if (!original_path.ok()) return original_path.status();
  const auto original = format::Checkpoint::Open(*original_path);
  if (!original.ok()) return original.status();
  if (absl::Status status = CheckOriginal(options.original, *original); !status.ok()) return status;
  const auto compressed_path = InputPath(options.compressed);
  if (!compressed_path.ok()) return compressed_path.status();
  const auto compressed = verify::OpenPackedCheckpoint(*compressed_path);
  if (!compressed.ok()) return Refused(options, compressed.status());
  if (!compressed->compressed()) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.compressed, ": holds no compressed tensor; give the output of seedlm compress"));
  }
  verify::VerifyOptions checks{.sample = options.sample};
  if (options.max_error >= 0) checks.max_error = options.max_error;
  std::optional<format::Checkpoint> activations;
  if (!options.activations.empty()) {
    const auto path = InputPath(options.activations);
    if (!path.ok()) return path.status();
    auto opened = format::Checkpoint::Open(*path);
    if (!opened.ok()) return opened.status();
    activations = *std::move(opened);
    checks.activations = &*activations;
    checks.backend = options.backend;
  }
  ProgressBar bar;
  const auto report = verify::Verify(*compressed, *original, checks, interrupt.token(),
                                     [&](const verify::VerifyProgress& progress) {
                                       bar.Update({.done = progress.done,
                                                   .total = progress.total,
                                                   .current = progress.current,
                                                   .phase = progress.phase,
                                                   .phase_fraction = progress.phase_fraction});
                                     });
  bar.Clear();
  if (!report.ok()) return report.status();
  PrintOut(options.json ? JsonLine(ToJson(*report))
                        : ToText(*report, checks.activations != nullptr));
  if (!report->unused_activations.empty()) {
    PrintNote(absl::StrCat(options.activations, ": no compressed tensor has the name of ",
                           report->unused_activations.size(), " of its tensors, such as '",
                           report->unused_activations.front(), "'"));
  }
  for (const std::string& problem : report->problems) {
    PrintError(absl::StrCat(options.compressed, ": ", WithWayOut(problem)));
  }
  return report->problems.empty() ? kOk : kCheckFailed;
}

}  // namespace

void AddVerify(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand(
      "verify", "Compare a compressed checkpoint with its original; exit code 1 if it fails");
  sub.Add("COMPRESSED", options->compressed, "The output of compress").Required();
  sub.Add("ORIGINAL", options->original, "Its input").Required();
  sub.Add("--max-error", options->max_error, "Fail if a tensor's relative error is above this")
      .NotNegative();
  sub.Add("--sample", options->sample, "Blocks of each tensor to encode again")
      .Range(0, 1'000'000)
      .Default("4");
  const Option activations = sub.Add(
      "--activations", options->activations,
      "Inputs of layers, safetensors: [n, in] under the name of a weight [out, in]; for these the "
      "relative error of the output is shown");
  sub.Add("--backend", options->backend, "What multiplies them: auto, cpu, cuda")
      .OneOf({"auto", "cpu", "cuda"})
      .Default("auto")
      .Needs(activations);
  sub.AddFlag("--json", options->json, "JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
