#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "client/commands/commands.h"
#include "client/inspection.h"
#include "client/job_json.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/table.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string path;
  bool json = false;
};

std::string ToText(const Inspection& inspection) {
  Table table(
      {{"TENSOR"}, {"SHAPE"}, {"DTYPE"}, {"PROFILE"}, {"BITS", Align::kRight}, {"LEVEL USE"}});
  for (const InspectedTensor& tensor : inspection.tensors) {
    table.AddRow({tensor.name, FormatShape(tensor.shape), tensor.dtype,
                  tensor.packed ? tensor.profile : "-",
                  absl::StrFormat("%.3f", tensor.bits_per_weight),
                  tensor.packed ? LevelBars(tensor.level_use) : ""});
  }
  std::string out = table.Render();
  if (inspection.packed_weights > 0) {
    absl::StrAppendFormat(&out, "%s weights compressed at %.3f bits, fit %s, scale %s; %s in all\n",
                          FormatCount(inspection.packed_weights), inspection.bits_per_weight,
                          inspection.fit, inspection.scale, FormatBytes(inspection.file_bytes));
  }
  return out;
}

nlohmann::ordered_json ToJson(const Inspection& inspection) {
  nlohmann::ordered_json json;
  json["path"] = inspection.path;
  json["file_bytes"] = inspection.file_bytes;
  json["weights"] = inspection.packed_weights;
  json["bits_per_weight"] = inspection.bits_per_weight;
  if (!inspection.fit.empty()) json["fit"] = inspection.fit;
  if (!inspection.scale.empty()) json["scale"] = inspection.scale;
  json["tensors"] = nlohmann::ordered_json::array();
  for (const InspectedTensor& tensor : inspection.tensors) {
    nlohmann::ordered_json row = {
        {"name", tensor.name},         {"file", tensor.file},
        {"shape", tensor.shape},       {"dtype", tensor.dtype},
        {"compressed", tensor.packed}, {"bits_per_weight", tensor.bits_per_weight}};
    if (tensor.packed) {
      row["profile"] = tensor.profile;
      row["level_use"] = tensor.level_use;
      row["levels"] = tensor.levels;
      row["zero_seeds"] = tensor.zero_seeds;
    }
    json["tensors"].push_back(std::move(row));
  }
  return json;
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const auto path = InputPath(options.path);
  if (!path.ok()) return path.status();
  const auto inspection = Inspect(*path, interrupt.token());
  if (!inspection.ok()) return inspection.status();
  PrintOut(options.json ? JsonLine(ToJson(*inspection)) : ToText(*inspection));
  ExitCode code = kOk;
  for (const InspectedTensor& tensor : inspection->tensors) {
    if (tensor.zero_seeds == 0) continue;
    PrintError(
        absl::StrFormat("%s: tensor '%s': %d of its blocks have the seed 0; compress it again",
                        options.path, Printable(tensor.name), tensor.zero_seeds));
    code = kCheckFailed;
  }
  return code;
}

}  // namespace

void AddInspect(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("inspect", "What a checkpoint holds");
  sub.Add("PATH", options->path, "A .safetensors file, or a directory of them").Required();
  sub.AddFlag("--json", options->json, "JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
