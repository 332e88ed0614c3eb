#include "kernels/format/decompression_plan.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "kernels/format/checkpoint_index.h"
#include "kernels/format/model_config.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

// Compressed and other tensors of a file, in the order in which they lie in it.
std::vector<RestoredTensor> TensorsInOrder(const PackedFile& file, size_t index) {
  std::map<std::string, const PackedTensor*, std::less<>> by_plane;
  for (const PackedTensor& tensor : file.packed) {
    by_plane.emplace(PlaneNames(tensor.name).packed, &tensor);
  }
  std::vector<RestoredTensor> tensors;
  auto other = file.others.begin();
  for (const TensorInfo& info : file.file->tensors()) {
    const auto packed = by_plane.find(info.name);
    if (packed != by_plane.end()) {
      tensors.push_back({index, packed->second, nullptr});
    } else if (other != file.others.end() && *other == &info) {
      tensors.push_back({index, nullptr, &info});
      ++other;
    }
  }
  return tensors;
}

TensorSpec RestoredSpec(const RestoredTensor& tensor, RestoredDType dtype) {
  if (tensor.packed == nullptr) {
    return {tensor.other->name, tensor.other->dtype, tensor.other->shape};
  }
  const PackedTensor& packed = *tensor.packed;
  return {packed.name, dtype.value_or(packed.dtype), {packed.rows, packed.columns}};
}

absl::Status AddFile(PackedFile file, std::string relative_path, RestoredDType dtype,
                     DecompressionPlan& plan) {
  const size_t index = plan.files.size();
  const PackedFile& kept = plan.files.emplace_back(std::move(file));
  std::vector<TensorSpec> specs;
  for (const RestoredTensor& tensor : TensorsInOrder(kept, index)) {
    specs.push_back(RestoredSpec(tensor, dtype));
    if (tensor.packed != nullptr) plan.weights += tensor.packed->rows * tensor.packed->columns;
    plan.tensors.push_back(tensor);
  }
  std::map<std::string, std::string> metadata = kept.file->metadata();
  metadata.erase(std::string(kMetadataKey));
  absl::StatusOr<SafetensorsLayout> layout = SafetensorsLayout::Make(std::move(specs), metadata);
  if (!layout.ok()) {
    return absl::InvalidArgumentError(
        Cat(Printable(kept.file->path()), ": ", layout.status().message()));
  }
  for (const TensorInfo& tensor : layout->tensors()) plan.tensor_bytes += tensor.byte_size();
  plan.outputs.push_back({std::move(relative_path), *std::move(layout)});
  return absl::OkStatus();
}

// What each name of an index becomes: N_packed becomes N, the other planes nothing.
std::map<std::string, std::vector<IndexEntry>, std::less<>> IndexEntries(
    const DecompressionPlan& plan) {
  std::map<std::string, std::vector<IndexEntry>, std::less<>> entries;
  for (const RestoredTensor& tensor : plan.tensors) {
    const uint64_t bytes = plan.outputs[tensor.file].layout.Find(tensor.name()).byte_size();
    const IndexEntry entry{tensor.name(), bytes};
    if (tensor.packed == nullptr) {
      entries[tensor.name()] = {entry};
      continue;
    }
    const PlaneNames planes(tensor.name());
    entries[planes.packed] = {entry};
    for (const std::string& plane : {planes.level, planes.scale, planes.shape}) entries[plane] = {};
  }
  return entries;
}

absl::Status PlanOtherFiles(const Checkpoint& checkpoint, DecompressionPlan& plan) {
  const auto entries = IndexEntries(plan);
  for (const std::string& path : checkpoint.other_files) {
    absl::StatusOr<std::string> content;
    if (checkpoint.IsIndex(path)) {
      content = RewriteIndex(checkpoint, path,
                             [&](std::string_view name) { return entries.find(name)->second; });
    } else if (path == kConfigName) {
      content = RemoveQuantizationConfig((std::filesystem::path(checkpoint.path) / path).string());
    } else {
      plan.copied.push_back(path);
      continue;
    }
    if (!content.ok()) return content.status();
    plan.rewritten.emplace_back(path, *std::move(content));
  }
  return absl::OkStatus();
}

// A restored name may be there already in another file of the checkpoint.
absl::Status CheckNamesUnique(const DecompressionPlan& plan) {
  std::map<std::string_view, size_t> holders;
  for (const RestoredTensor& tensor : plan.tensors) {
    const auto [holder, is_new] = holders.emplace(tensor.name(), tensor.file);
    if (is_new) continue;
    return absl::InvalidArgumentError(
        Cat(Printable(plan.files[tensor.file].file->path()), ": tensor '", Printable(tensor.name()),
            "': is also in '", Printable(plan.outputs[holder->second].relative_path), "'"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RestoredDType> ParseRestoredDType(std::string_view name) {
  if (name == "source") return RestoredDType();
  if (name == "f32") return RestoredDType(DType::kF32);
  if (name == "f16") return RestoredDType(DType::kF16);
  if (name == "bf16") return RestoredDType(DType::kBF16);
  return absl::InvalidArgumentError(
      Cat("unknown dtype '", Printable(name), "'; there are source, f32, f16, bf16"));
}

absl::StatusOr<DecompressionPlan> PlanDecompression(const Checkpoint& checkpoint,
                                                    RestoredDType dtype) {
  if (dtype && dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16) {
    return absl::InvalidArgumentError(Cat("weights cannot be restored as ", Name(*dtype)));
  }
  DecompressionPlan plan;
  plan.is_directory = checkpoint.is_directory;
  plan.source = checkpoint.path;
  plan.files.reserve(checkpoint.files.size());
  for (const CheckpointFile& input : checkpoint.files) {
    absl::StatusOr<PackedFile> file = ReadPackedFile(input.file);
    if (!file.ok()) return file.status();
    const absl::Status added = AddFile(*std::move(file), input.relative_path, dtype, plan);
    if (!added.ok()) return added;
  }
  if (plan.weights == 0) {
    return absl::InvalidArgumentError(
        Cat(Printable(checkpoint.path), ": holds no compressed tensor"));
  }
  absl::Status status = CheckNamesUnique(plan);
  if (status.ok()) status = PlanOtherFiles(checkpoint, plan);
  if (!status.ok()) return status;
  return plan;
}

}  // namespace seedlm::format
