#include "kernels/verify/layer_inputs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/text.h"
#include "kernels/verify/weight_rows.h"

namespace seedlm::verify {
namespace {

absl::Status Refuse(const format::SafetensorsFile& file, const std::string& name,
                    const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": activations '", format::Printable(name), "': ", what));
}

int64_t SamplesOf(const format::TensorInfo& tensor) {
  return std::accumulate(tensor.shape.begin(), tensor.shape.end() - 1, int64_t{1},
                         std::multiplies<>());
}

absl::Status CheckFits(const format::SafetensorsFile& file, const format::TensorInfo& tensor,
                       const format::PackedTensor& packed) {
  if (!IsWeightType(tensor.dtype)) {
    return Refuse(file, tensor.name, "F32, F16 or BF16 is needed");
  }
  if (tensor.shape.size() < 2 || tensor.shape.back() != packed.columns) {
    return Refuse(file, tensor.name,
                  absl::StrCat("its shape should end in [n, ", packed.columns,
                               "], the columns of '", format::Printable(packed.name), "'"));
  }
  const int64_t samples = SamplesOf(tensor);
  if (samples == 0) return Refuse(file, tensor.name, "it has no samples");
  const uint64_t row = std::max<uint64_t>(1, static_cast<uint64_t>(packed.columns)) * sizeof(float);
  if (static_cast<uint64_t>(samples) > LayerInputs::kMaxBytes / row) {
    return Refuse(file, tensor.name,
                  absl::StrCat(samples, " samples are too many: with ", packed.columns,
                               " columns there may be ", LayerInputs::kMaxBytes / row));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LayerInputs> LayerInputs::Match(const format::Checkpoint& activations,
                                               const PackedCheckpoint& compressed) {
  std::map<std::string, const format::PackedTensor*> packed;
  for (const auto& file : compressed.files) {
    for (const auto& tensor : file.content.packed) packed[tensor.name] = &tensor;
  }
  LayerInputs inputs;
  for (const auto& file : activations.files) {
    for (const auto& tensor : file.file->tensors()) {
      auto found = packed.find(tensor.name);
      if (found == packed.end()) found = packed.find(absl::StrCat(tensor.name, ".weight"));
      if (found == packed.end()) {
        inputs.unused_.push_back(tensor.name);
        continue;
      }
      absl::Status status = CheckFits(*file.file, tensor, *found->second);
      if (!status.ok()) return status;
      if (!inputs.sources_.try_emplace(found->first, Source{file.file.get(), &tensor}).second) {
        return Refuse(*file.file, tensor.name,
                      absl::StrCat("'", format::Printable(found->first),
                                   "' has activations already, under its other name"));
      }
    }
  }
  if (inputs.sources_.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(activations.path,
                     ": none of its tensors has the name of a compressed one, "
                     "with or without .weight"));
  }
  return inputs;
}

absl::StatusOr<LayerInput> LayerInputs::Read(const std::string& compressed) const {
  const Source& source = sources_.at(compressed);
  const format::TensorInfo& tensor = *source.tensor;
  LayerInput input{SamplesOf(tensor), tensor.shape.back(), {}};
  input.values.resize(static_cast<size_t>(input.samples * input.columns));
  const auto width = static_cast<size_t>(format::BitWidth(tensor.dtype)) / 8;
  const auto columns = static_cast<size_t>(input.columns);
  std::vector<std::byte> row(columns * width);
  for (int64_t s = 0; s < input.samples; ++s) {
    absl::Status status = source.file->Read(tensor, static_cast<uint64_t>(s) * row.size(), row);
    if (!status.ok()) return status;
    const std::span<float> values(&input.values[static_cast<size_t>(s) * columns], columns);
    Widen(tensor.dtype, row, values);
    const auto bad = std::find_if(values.begin(), values.end(),
                                  [](float value) { return !std::isfinite(value); });
    if (bad != values.end()) {
      return Refuse(
          *source.file, tensor.name,
          absl::StrCat("sample ", s, ", column ", bad - values.begin(), " is NaN or infinite"));
    }
  }
  return input;
}

}  // namespace seedlm::verify
