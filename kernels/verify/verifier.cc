#include "kernels/verify/verifier.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "kernels/backend/layer_output.h"
#include "kernels/backend/level_choice.h"
#include "kernels/format/text.h"
#include "kernels/registry/registry.h"
#include "kernels/verify/layer_inputs.h"
#include "kernels/verify/parallel_rows.h"
#include "kernels/verify/problems.h"
#include "kernels/verify/rows_check.h"
#include "kernels/verify/sample_check.h"

namespace seedlm::verify {
namespace {

double Relative(double squared_error, double squared_weights) {
  if (squared_error == 0) return 0;
  return std::sqrt(squared_error / squared_weights);
}

absl::Status Interrupted() {
  return absl::CancelledError("verify: interrupted before all was compared; run it again");
}

std::string FormatShape(std::span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

class Verifier {
 public:
  Verifier(const PackedCheckpoint& compressed, const VerifyOptions& options, std::stop_token stop,
           const std::function<void(const VerifyProgress&)>& on_progress)
      : compressed_(compressed), options_(options), stop_(stop), on_progress_(on_progress) {}

  absl::StatusOr<VerifyReport> Run(const format::Checkpoint& original) {
    auto judge = backend::OpenBackend("cpu");
    if (!judge.ok()) return judge.status();
    judge_ = *std::move(judge);
    if (absl::Status status = OpenActivations(); !status.ok()) return status;
    for (const auto& file : original.files) {
      for (const auto& tensor : file.file->tensors()) {
        sources_[tensor.name] = {file.file.get(), &tensor};
      }
    }
    for (const auto& file : compressed_.files) {
      for (const auto& tensor : file.content.packed) view_.total += tensor.rows * tensor.columns;
    }
    for (const auto& file : compressed_.files) {
      for (const auto& tensor : file.content.packed) {
        if (stop_.stop_requested()) return Interrupted();
        if (absl::Status status = CheckPacked(file.content, tensor); !status.ok()) return status;
        if (wrong_original_) return std::move(report_);
      }
      for (const auto* tensor : file.content.others) {
        if (absl::Status status = CheckOther(file.content, *tensor); !status.ok()) return status;
      }
    }
    if (stop_.stop_requested()) return Interrupted();
    for (const auto& [name, source] : sources_) {
      if (source.tensor != nullptr) Problem(name, "is missing from the compressed checkpoint");
    }
    return std::move(report_);
  }

 private:
  void Problem(const std::string& tensor, const std::string& what) {
    report_.problems.push_back(absl::StrCat("tensor '", format::Printable(tensor), "': ", what));
  }

  // The source of that name, once: what is left over at the end is missing.
  Source Take(const std::string& name) {
    const auto found = sources_.find(name);
    if (found == sources_.end()) return {};
    return std::exchange(found->second, Source{});
  }

  absl::Status OpenActivations();
  // Null: there are no activations for it.
  absl::StatusOr<std::unique_ptr<backend::OutputMeter>> MeterOf(const std::string& tensor,
                                                                TensorCheck& check) const;
  absl::Status CheckPacked(const format::PackedFile& file, const format::PackedTensor& tensor);
  absl::Status CheckSample(const format::PackedMetadata& metadata, const codec::LevelTable& levels,
                           const format::PackedTensor& tensor, const Source& source);
  absl::Status CheckOther(const format::PackedFile& file, const format::TensorInfo& tensor);

  const PackedCheckpoint& compressed_;
  const VerifyOptions& options_;
  std::stop_token stop_;
  const std::function<void(const VerifyProgress&)>& on_progress_;
  std::map<std::string, Source> sources_;
  VerifyProgress view_;
  SampleChecker sampler_;
  std::optional<LayerInputs> inputs_;
  std::shared_ptr<const backend::Backend> judge_;    // of codes
  std::shared_ptr<const backend::Backend> backend_;  // of outputs; null: there are no inputs
  VerifyReport report_;
  bool wrong_original_ = false;  // found at the first compressed tensor
};

absl::Status Verifier::OpenActivations() {
  if (options_.activations == nullptr) return absl::OkStatus();
  auto inputs = LayerInputs::Match(*options_.activations, compressed_);
  if (!inputs.ok()) return inputs.status();
  inputs_ = *std::move(inputs);
  report_.unused_activations = inputs_->unused();
  auto opened = backend::OpenBackend(options_.backend);
  if (!opened.ok()) return opened.status();
  backend_ = *std::move(opened);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<backend::OutputMeter>> Verifier::MeterOf(const std::string& tensor,
                                                                        TensorCheck& check) const {
  if (!inputs_ || !inputs_->has(tensor)) return nullptr;
  const absl::StatusOr<LayerInput> input = inputs_->Read(tensor);
  if (!input.ok()) return input.status();
  check.samples = input->samples;
  return backend_->MeterOutputs({input->samples, input->columns, input->values.data()});
}

absl::Status Verifier::CheckPacked(const format::PackedFile& file,
                                   const format::PackedTensor& tensor) {
  const Source source = Take(tensor.name);
  if (source.tensor == nullptr) {
    Problem(tensor.name, "is not in the original");
    return absl::OkStatus();
  }
  const std::vector<int64_t> shape = {tensor.rows, tensor.columns};
  if (source.tensor->shape != shape || source.tensor->dtype != tensor.dtype) {
    Problem(tensor.name,
            absl::StrCat("is ", std::string(format::Name(tensor.dtype)), " ", FormatShape(shape),
                         ", in the original ", std::string(format::Name(source.tensor->dtype)), " ",
                         FormatShape(source.tensor->shape)));
    return absl::OkStatus();
  }
  view_.current = tensor.name;
  on_progress_(view_);
  const auto levels = RecoverLevels(tensor.profile, file.metadata->scale, tensor.scale);
  if (!levels.ok()) Problem(tensor.name, std::string(levels.status().message()));
  TensorCheck check{.name = tensor.name, .rows = tensor.rows, .columns = tensor.columns};
  const auto meter = MeterOf(tensor.name, check);
  if (!meter.ok()) return meter.status();
  backend::EncodeSpec spec{tensor.profile, file.metadata->fit, {}, 0};
  if (levels.ok()) spec.levels = *levels;
  RowsChecker rows(tensor, source, levels.ok() ? &spec : nullptr, *judge_, meter->get());
  const auto results = ForRowRanges<RowsResult>(
      tensor.rows, tensor.columns, options_.threads, stop_,
      [&](int64_t first, int64_t count, RowsResult& result) { rows.Check(first, count, result); });
  ProblemList problems;
  bool all_compared = !stop_.stop_requested();
  int64_t blocks = 0;
  int64_t foreign = 0;
  for (const RowsResult& result : results) {
    if (!result.failure.ok()) return result.failure;
    check.squared_output += result.output.squared_output;
    check.squared_output_error += result.output.squared_difference;
    check.squared_error += result.squared_error;
    check.squared_weights += result.squared_weights;
    check.max_error = std::max(check.max_error, result.max_error);
    problems.Append(result.problems);
    all_compared = all_compared && result.all_compared;
    blocks += result.blocks;
    foreign += result.foreign;
  }
  if (report_.tensors.empty() && 2 * foreign > blocks) {
    // All that follows would be told block by block.
    wrong_original_ = true;
    Problem(tensor.name, absl::StrFormat("the original is not what was compressed, as %d of %d "
                                         "blocks are not its own; give the one that was",
                                         foreign, blocks));
    report_.tensors.push_back(std::move(check));
    return absl::OkStatus();
  }
  for (const std::string& problem : problems.Lines()) Problem(tensor.name, problem);
  if (levels.ok() && all_compared &&
      !backend::CanBeChosen(tensor.profile, file.metadata->scale, rows.norms(), tensor.scale)) {
    Problem(
        tensor.name,
        "its levels are not those of its weights; it is damaged, or the original is another one");
  }
  if (levels.ok()) {
    absl::Status status = CheckSample(*file.metadata, *levels, tensor, source);
    if (!status.ok()) return status;
  }
  const double error = check.relative_error();
  if (options_.max_error && !(error <= *options_.max_error)) {
    Problem(tensor.name,
            absl::StrFormat("relative error %.6g is above --max-error %g; use more --bits", error,
                            *options_.max_error));
  }
  report_.tensors.push_back(std::move(check));
  view_.done += tensor.rows * tensor.columns;
  on_progress_(view_);
  return absl::OkStatus();
}

absl::Status Verifier::CheckSample(const format::PackedMetadata& metadata,
                                   const codec::LevelTable& levels,
                                   const format::PackedTensor& tensor, const Source& source) {
  const auto blocks = std::min<int64_t>(options_.sample, tensor.rows * tensor.blocks_per_row());
  const auto read = [&source](uint64_t offset, std::span<std::byte> bytes) {
    return source.Read(offset, bytes);
  };
  const absl::StatusOr<ProblemList> wrong = sampler_.Check(
      metadata.fit, levels, tensor, read, options_.sample, options_.threads, stop_, [&](int done) {
        view_.phase = "encoding a sample again";
        view_.phase_fraction = static_cast<double>(done) / static_cast<double>(blocks);
        on_progress_(view_);
      });
  view_.phase.clear();
  if (!wrong.ok()) return wrong.status();
  for (const std::string& problem : wrong->Lines()) Problem(tensor.name, problem);
  return absl::OkStatus();
}

absl::Status Verifier::CheckOther(const format::PackedFile& file,
                                  const format::TensorInfo& tensor) {
  const Source source = Take(tensor.name);
  if (source.tensor == nullptr) {
    Problem(tensor.name, "is not in the original");
    return absl::OkStatus();
  }
  if (source.tensor->dtype != tensor.dtype || source.tensor->shape != tensor.shape) {
    Problem(tensor.name, "has another dtype or shape in the original");
    return absl::OkStatus();
  }
  bool same = true;
  std::vector<std::byte> original;
  absl::Status status = file.file->ReadInPieces(
      tensor, [&](uint64_t offset, std::span<const std::byte> stored) -> absl::Status {
        if (stop_.stop_requested()) return Interrupted();
        original.resize(stored.size());
        if (absl::Status read = source.Read(offset, original); !read.ok()) return read;
        same = std::memcmp(stored.data(), original.data(), stored.size()) == 0;
        return same ? absl::OkStatus() : absl::DataLossError("the rest need not be read");
      });
  if (!same) {
    Problem(tensor.name, "was passed through, but its bytes are not those of the original");
    return absl::OkStatus();
  }
  if (status.ok()) report_.passed_through.push_back(tensor.name);
  return status;
}

}  // namespace

double TensorCheck::relative_error() const { return Relative(squared_error, squared_weights); }

double TensorCheck::output_error() const { return Relative(squared_output_error, squared_output); }

double VerifyReport::relative_error() const {
  double error = 0;
  double weights = 0;
  for (const TensorCheck& tensor : tensors) {
    error += tensor.squared_error;
    weights += tensor.squared_weights;
  }
  return Relative(error, weights);
}

double VerifyReport::max_error() const {
  double largest = 0;
  for (const TensorCheck& tensor : tensors) largest = std::max(largest, tensor.max_error);
  return largest;
}

absl::StatusOr<VerifyReport> Verify(const PackedCheckpoint& compressed,
                                    const format::Checkpoint& original,
                                    const VerifyOptions& options, std::stop_token stop,
                                    const std::function<void(const VerifyProgress&)>& on_progress) {
  return Verifier(compressed, options, stop, on_progress).Run(original);
}

}  // namespace seedlm::verify
