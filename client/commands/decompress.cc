#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_request.h"
#include "client/leftovers.h"
#include "client/output.h"
#include "client/output_path.h"
#include "client/progress_bar.h"
#include "client/text.h"
#include "kernels/format/decompression_plan.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string in, out;
  std::string dtype = "source";
  bool force = false;
  bool json = false;
};

std::string Summary(const Options& options, const std::string& out,
                    const format::DecompressionPlan& plan) {
  if (!options.json) {
    return absl::StrFormat("%s: %s weights decoded, %s written\n", Printable(out),
                           FormatCount(plan.weights), FormatBytes(plan.tensor_bytes));
  }
  return JsonLine({{"input", options.in},
                   {"output", out},
                   {"dtype", options.dtype},
                   {"weights", plan.weights},
                   {"tensor_bytes", plan.tensor_bytes}});
}

// Weights that became infinite, by tensor.
using Overflows = std::map<const format::PackedTensor*, int64_t>;

void PrintOverflow(const format::PackedTensor& tensor, int64_t count) {
  PrintNote(absl::StrFormat(
      "warning: tensor '%s': %d of %d weights are too large for the dtype and became "
      "infinite; give another --dtype, such as f32",
      Printable(tensor.name), count, tensor.rows * tensor.columns));
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const auto in = InputPath(options.in);
  if (!in.ok()) return in.status();
  const auto dtype = format::ParseRestoredDType(options.dtype);
  if (!dtype.ok()) return dtype.status();
  const auto checkpoint = format::Checkpoint::Open(*in);
  if (!checkpoint.ok()) return checkpoint.status();
  const auto out = OutputPath(options.out, checkpoint->is_directory,
                              std::filesystem::path(*in).filename().string());
  if (!out.ok()) return out.status();
  const auto plan = format::PlanDecompression(*checkpoint, *dtype);
  if (!plan.ok()) return plan.status();
  absl::Status status = CheckOutput(*in, *out, checkpoint->is_directory, options.force,
                                    {PathsOf(*plan), format::OutputKind::kRestored});
  if (!status.ok()) return status;
  ProgressBar bar;
  ProgressView view{.total = static_cast<int64_t>(plan->tensor_bytes), .bytes = true};
  Overflows overflows;
  const auto progress = [&](const format::RestoredTensor& tensor,
                            const format::RestoredBatch& batch) -> absl::Status {
    if (interrupt.requested()) {
      return absl::CancelledError(options.out + ": interrupted; nothing was written");
    }
    if (view.done == 0) RegisterOpenOutputs();  // for a second interrupt
    if (batch.overflows > 0) overflows[tensor.packed] += batch.overflows;
    view.done += static_cast<int64_t>(batch.bytes);
    view.current = tensor.name();
    bar.Update(view);
    return absl::OkStatus();
  };
  const auto exists = options.force ? format::IfExists::kReplace : format::IfExists::kFail;
  status = format::RestoreCheckpoint(*plan, *out, exists, progress);
  bar.Clear();
  if (!status.ok()) return status;
  for (const auto& [tensor, count] : overflows) PrintOverflow(*tensor, count);
  PrintOut(Summary(options, *out, *plan));
  return kOk;
}

}  // namespace

void AddDecompress(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("decompress", "Restore an ordinary checkpoint");
  sub.Add("IN", options->in, "A compressed file or directory").Required();
  sub.Add("OUT", options->out, "The same kind: file or directory; DIR/: a file in DIR").Required();
  sub.Add("--dtype", options->dtype,
          "Of the tensors that were compressed: source (each as it was before), f32, f16 or bf16. "
          "The others, and torch_dtype in config.json, stay as they are")
      .OneOf({"source", "f32", "f16", "bf16"})
      .Default("source");
  sub.AddFlag("--force", options->force, "Replace OUT if it exists");
  sub.AddFlag("--json", options->json, "The summary as JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
