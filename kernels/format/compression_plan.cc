#include "kernels/format/compression_plan.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "kernels/format/checkpoint_index.h"
#include "kernels/format/fault.h"
#include "kernels/format/model_config.h"
#include "kernels/format/name_pattern.h"
#include "kernels/format/safetensors_header.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

constexpr std::string_view kWeightSuffix = ".weight";
constexpr int64_t kMinSide = 64;
constexpr std::array<std::string_view, 5> kDefaultExclusions{"*embed*", "*lm_head*", "*wte*",
                                                             "*wpe*", "*norm*"};

// Decides tensor by tensor.
class Selection {
 public:
  static absl::StatusOr<Selection> Make(const CompressionOptions& options) {
    Selection selection;
    absl::StatusOr<std::vector<NamePattern>> include = ParseAll(options.include);
    if (!include.ok()) return include.status();
    absl::StatusOr<std::vector<NamePattern>> exclude = ParseAll(options.exclude);
    if (!exclude.ok()) return exclude.status();
    selection.include_ = *std::move(include);
    selection.exclude_ = *std::move(exclude);
    return selection;
  }

  // INVALID_ARGUMENT naming a pattern that no tensor's name matches: a slip of the pen would leave
  // weights uncompressed, or lose those that were to be kept, in silence.
  absl::Status CheckAllMatch(const Checkpoint& checkpoint) const {
    absl::Status status = CheckAllMatch(include_, "include", checkpoint);
    return status.ok() ? CheckAllMatch(exclude_, "exclude", checkpoint) : status;
  }

  // Why the tensor stays as it is, or "" if it is to be compressed.
  std::string WhyNot(const TensorInfo& tensor) const {
    if (std::string reason = WhyImpossible(tensor); !reason.empty()) return reason;
    for (const NamePattern& pattern : exclude_) {
      if (pattern.Matches(tensor.name)) return Cat("excluded by ", Printable(pattern.text()));
    }
    return include_.empty() ? WhyNotByDefault(tensor) : WhyNotIncluded(tensor);
  }

 private:
  static absl::Status CheckAllMatch(const std::vector<NamePattern>& patterns, std::string_view kind,
                                    const Checkpoint& checkpoint) {
    for (const NamePattern& pattern : patterns) {
      const auto matches = [&](const TensorInfo& tensor) { return pattern.Matches(tensor.name); };
      if (std::any_of(checkpoint.files.begin(), checkpoint.files.end(), [&](const auto& file) {
            const auto& tensors = file.file->tensors();
            return std::any_of(tensors.begin(), tensors.end(), matches);
          })) {
        continue;
      }
      return absl::InvalidArgumentError(
          Cat(Printable(checkpoint.path), ": no tensor's name matches the ", kind, " pattern '",
              Printable(pattern.text()),
              "'; it must match the whole name, and only * and ? stand for others, as in "
              "'model.layers.*.o_proj.weight'"));
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<std::vector<NamePattern>> ParseAll(const std::vector<std::string>& texts) {
    std::vector<NamePattern> patterns;
    for (const std::string& text : texts) {
      absl::StatusOr<NamePattern> pattern = NamePattern::Parse(text);
      if (!pattern.ok()) return pattern.status();
      patterns.push_back(*std::move(pattern));
    }
    return patterns;
  }

  static std::string WhyImpossible(const TensorInfo& tensor) {
    const DType type = tensor.dtype;
    if (type != DType::kF32 && type != DType::kF16 && type != DType::kBF16) {
      return Cat("dtype is ", Name(type), ", not F32, F16 or BF16");
    }
    if (tensor.shape.size() != 2) return Cat("is ", tensor.shape.size(), "-D, not 2-D");
    return tensor.byte_size() == 0 ? "is empty" : "";
  }

  static std::string WhyNotByDefault(const TensorInfo& tensor) {
    if (!tensor.name.ends_with(kWeightSuffix)) return Cat("name does not end in ", kWeightSuffix);
    for (const std::string_view glob : kDefaultExclusions) {
      if (GlobMatches(glob, tensor.name, true)) return Cat("name matches ", glob);
    }
    if (std::min(tensor.shape[0], tensor.shape[1]) < kMinSide) {
      return Cat("a side is below ", kMinSide);
    }
    return "";
  }

  std::string WhyNotIncluded(const TensorInfo& tensor) const {
    for (const NamePattern& pattern : include_) {
      if (pattern.Matches(tensor.name)) return "";
    }
    return "no include pattern matches the name";
  }

  std::vector<NamePattern> include_;
  std::vector<NamePattern> exclude_;
};

absl::Status CheckUncompressed(const Checkpoint& checkpoint) {
  for (const CheckpointFile& file : checkpoint.files) {
    if (!file.file->metadata().contains(std::string(kMetadataKey))) continue;
    return About(absl::InvalidArgumentError(Cat(Printable(file.file->path()),
                                                ": is compressed already; decompress it first")),
                 "file", file.relative_path);
  }
  return absl::OkStatus();
}

// With the most frequent reasons: that no pattern matches is rarely all there is to say.
absl::Status NothingToCompress(const Checkpoint& checkpoint,
                               const std::vector<PlannedTensor>& tensors) {
  constexpr size_t kMostReasons = 3;
  std::map<std::string_view, size_t> counts;
  for (const PlannedTensor& tensor : tensors) ++counts[tensor.why_not];
  std::vector<std::pair<std::string_view, size_t>> reasons(counts.begin(), counts.end());
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text = reasons.empty() ? "it has no tensors"
                                     : Cat("all ", tensors.size(), " tensors are left out: ");
  for (size_t i = 0; i < std::min(reasons.size(), kMostReasons); ++i) {
    const auto& [reason, count] = reasons[i];
    text += Cat(i == 0 ? "" : ", ", count, " (", reason, ")");
  }
  if (reasons.size() > kMostReasons) text += " and others";
  return absl::InvalidArgumentError(
      Cat(Printable(checkpoint.path), ": nothing to compress: ", text));
}

// No plane may have the name of a tensor of the checkpoint, in whichever file.
absl::Status CheckPlaneNamesFree(const Checkpoint& checkpoint,
                                 const std::vector<PlannedTensor>& tensors) {
  std::set<std::string_view> names;
  for (const PlannedTensor& tensor : tensors) names.insert(tensor.source->name);
  for (const PlannedTensor& tensor : tensors) {
    if (!tensor.compressed) continue;
    const PlaneNames planes(tensor.source->name);
    for (const std::string* plane : {&planes.packed, &planes.level, &planes.scale, &planes.shape}) {
      if (!names.contains(*plane)) continue;
      const CheckpointFile& file = checkpoint.files[tensor.file];
      absl::Status status = absl::InvalidArgumentError(
          Cat(Printable(file.file->path()), ": tensor '", Printable(tensor.source->name),
              "': its plane '", Printable(*plane),
              "' would have the name of a tensor; exclude one of the two"));
      return About(About(std::move(status), "tensor", tensor.source->name), "file",
                   file.relative_path);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<PlannedOutput> PlanOutput(const CompressionPlan& plan, const CheckpointFile& input,
                                         std::span<const PlannedTensor> tensors) {
  std::vector<TensorSpec> specs;
  PackedMetadata packed{plan.options.profile, plan.options.fit, plan.options.scale, {}};
  for (const PlannedTensor& tensor : tensors) {
    const TensorInfo& source = *tensor.source;
    if (!tensor.compressed) {
      specs.push_back({source.name, source.dtype, source.shape});
      continue;
    }
    packed.dtypes.emplace(source.name, source.dtype);
    for (TensorSpec& plane :
         PlaneSpecs(source.name, plan.options.profile, source.shape[0], source.shape[1])) {
      specs.push_back(std::move(plane));
    }
  }
  std::map<std::string, std::string> metadata = input.file->metadata();
  if (!packed.dtypes.empty()) metadata.emplace(kMetadataKey, packed.ToJson());
  absl::StatusOr<SafetensorsLayout> layout = SafetensorsLayout::Make(std::move(specs), metadata);
  if (!layout.ok()) {
    const std::string message = Cat(Printable(input.file->path()), ": ", layout.status().message());
    return About(Reworded(layout.status(), message), "file", input.relative_path);
  }
  return PlannedOutput{input.relative_path, *std::move(layout)};
}

// Names of the linear modules left alone: 2-D tensors NAME.weight that are not compressed.
std::vector<std::string> ModulesNotConverted(const std::vector<PlannedTensor>& tensors) {
  std::vector<std::string> modules;
  for (const PlannedTensor& tensor : tensors) {
    const std::string& name = tensor.source->name;
    if (tensor.compressed || tensor.source->shape.size() != 2) continue;
    if (!name.ends_with(kWeightSuffix)) continue;
    modules.push_back(name.substr(0, name.size() - kWeightSuffix.size()));
  }
  std::sort(modules.begin(), modules.end());
  return modules;
}

// What stands in the index for a tensor of the source.
std::vector<IndexEntry> IndexEntries(const PlannedTensor& tensor, const codec::Profile& profile) {
  const TensorInfo& source = *tensor.source;
  if (!tensor.compressed) return {{source.name, source.byte_size()}};
  std::vector<IndexEntry> entries;
  for (TensorSpec& plane : PlaneSpecs(source.name, profile, source.shape[0], source.shape[1])) {
    const absl::StatusOr<uint64_t> bytes = ByteSize(plane.dtype, plane.shape);
    entries.push_back({std::move(plane.name), bytes.value_or(0)});  // the layout has checked it
  }
  return entries;
}

absl::Status PlanOtherFiles(const Checkpoint& checkpoint, CompressionPlan& plan) {
  std::map<std::string_view, const PlannedTensor*> by_name;
  for (const PlannedTensor& tensor : plan.tensors) by_name.emplace(tensor.source->name, &tensor);
  for (const std::string& path : checkpoint.other_files) {
    absl::StatusOr<std::string> content;
    if (checkpoint.IsIndex(path)) {
      content = RewriteIndex(checkpoint, path, [&](std::string_view name) {
        return IndexEntries(*by_name.find(name)->second, plan.options.profile);
      });
    } else if (path == kConfigName) {
      content = AddQuantizationConfig((std::filesystem::path(checkpoint.path) / path).string(),
                                      plan.options.profile, ModulesNotConverted(plan.tensors));
    } else {
      plan.copied.push_back(path);
      continue;
    }
    if (!content.ok()) return About(content.status(), "file", path);
    plan.rewritten.emplace_back(path, *std::move(content));
  }
  return absl::OkStatus();
}

void PlanTensors(const Checkpoint& checkpoint, const Selection& selection, CompressionPlan& plan) {
  for (size_t file = 0; file < checkpoint.files.size(); ++file) {
    for (const TensorInfo& tensor : checkpoint.files[file].file->tensors()) {
      PlannedTensor planned{file, &tensor, false, selection.WhyNot(tensor)};
      planned.compressed = planned.why_not.empty();
      if (planned.compressed) plan.weights += tensor.shape[0] * tensor.shape[1];
      plan.tensors.push_back(std::move(planned));
    }
    plan.input_bytes += checkpoint.files[file].file->file_size();
  }
}

absl::Status PlanOutputs(const Checkpoint& checkpoint, CompressionPlan& plan) {
  HeaderTotals totals;
  auto first = plan.tensors.cbegin();
  for (size_t file = 0; file < checkpoint.files.size(); ++file) {
    const auto last = std::find_if(first, plan.tensors.cend(), [file](const PlannedTensor& tensor) {
      return tensor.file != file;
    });
    absl::StatusOr<PlannedOutput> output =
        PlanOutput(plan, checkpoint.files[file], std::span(first, last));
    if (!output.ok()) return output.status();
    const SafetensorsLayout& layout = output->layout;
    const std::string problem = totals.Add(layout.tensors().size(), layout.header().size());
    if (!problem.empty()) {
      return absl::InvalidArgumentError(Cat(Printable(checkpoint.path), ": the output would have ",
                                            problem, "; compress fewer tensors"));
    }
    plan.output_bytes += layout.file_size();
    plan.outputs.push_back(*std::move(output));
    first = last;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompressionPlan> PlanCompression(const Checkpoint& checkpoint,
                                                const CompressionOptions& options) {
  if (options.fit == codec::Fit::kNearest && options.scale == codec::ScaleRule::kFitted) {
    return absl::InvalidArgumentError(
        "fit 'nearest' works with scale 'pow2' or 'paper' only, not with 'fitted'");
  }
  const absl::StatusOr<Selection> selection = Selection::Make(options);
  if (!selection.ok()) return selection.status();
  if (absl::Status status = CheckUncompressed(checkpoint); !status.ok()) return status;
  if (absl::Status status = selection->CheckAllMatch(checkpoint); !status.ok()) return status;
  CompressionPlan plan;
  plan.options = options;
  PlanTensors(checkpoint, *selection, plan);
  if (plan.weights == 0) return NothingToCompress(checkpoint, plan.tensors);
  absl::Status status = CheckPlaneNamesFree(checkpoint, plan.tensors);
  if (status.ok()) status = PlanOutputs(checkpoint, plan);
  if (status.ok()) status = PlanOtherFiles(checkpoint, plan);
  if (!status.ok()) return status;
  return plan;
}

}  // namespace seedlm::format
