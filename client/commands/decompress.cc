#include <CLI/CLI.hpp>
#include <memory>

#include "absl/strings/str_format.h"
#include "client/commands/commands.h"
#include "client/job_request.h"
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
};

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const auto in = InputPath(options.in);
  if (!in.ok()) return in.status();
  const auto out = AbsolutePath(options.out);
  if (!out.ok()) return out.status();
  const auto dtype = format::ParseRestoredDType(options.dtype);
  if (!dtype.ok()) return dtype.status();
  const auto checkpoint = format::Checkpoint::Open(*in);
  if (!checkpoint.ok()) return checkpoint.status();
  absl::Status status = CheckOutput(*in, *out, checkpoint->is_directory, options.force);
  if (!status.ok()) return status;
  const auto plan = format::PlanDecompression(*checkpoint, *dtype);
  if (!plan.ok()) return plan.status();
  ProgressBar bar;
  ProgressView view{.total = static_cast<int64_t>(plan->tensor_bytes), .bytes = true};
  const auto progress = [&](const format::RestoredTensor& tensor, uint64_t bytes) -> absl::Status {
    if (interrupt.requested()) return absl::CancelledError(options.out + ": interrupted");
    view.done += static_cast<int64_t>(bytes);
    view.current = tensor.name();
    bar.Update(view);
    return absl::OkStatus();
  };
  const auto exists = options.force ? format::IfExists::kReplace : format::IfExists::kFail;
  status = format::RestoreCheckpoint(*plan, *out, exists, progress);
  bar.Clear();
  if (!status.ok()) return status;
  PrintOut(absl::StrFormat("%s: %s weights decoded, %s written\n", Printable(options.out),
                           FormatCount(plan->weights), FormatBytes(plan->tensor_bytes)));
  return kOk;
}

}  // namespace

void AddDecompress(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("decompress", "Restore an ordinary checkpoint");
  sub->add_option("IN", options->in, "A compressed file or directory")->required();
  sub->add_option("OUT", options->out, "The same kind: file or directory")->required();
  sub->add_option("--dtype", options->dtype, "Of restored tensors: source, f32, f16 or bf16")
      ->check(CLI::IsMember({"source", "f32", "f16", "bf16"}))
      ->default_str("source");
  sub->add_flag("--force", options->force, "Replace OUT if it exists");
  sub->callback([&chosen, options] {
    chosen = [options](const Interrupt& interrupt) { return Run(*options, interrupt); };
  });
}

}  // namespace seedlm::client
