// What a compression will write, decided from headers alone: no weight is read.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/codec/profile.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/planned_output.h"
#include "kernels/format/safetensors.h"

namespace seedlm::format {

struct CompressionOptions {
  codec::Profile profile = codec::k4bit;
  codec::Fit fit = codec::Fit::kOptimal;
  codec::ScaleRule scale = codec::ScaleRule::kFitted;
  // Patterns on tensor names: shell globs ('*' matches any run, '?' one character), or "re:" and a
  // regular expression (RE2 syntax: no look-around, no back-references); both must match the whole
  // name, and be at most 1024 bytes long. Default selection (include empty): 2-D
  // F32/F16/BF16 tensors named *.weight, both sides >= 64, not *embed*, *lm_head*, *wte*, *wpe*,
  // *norm* (case-insensitive). A non-empty include replaces name rules and default exclusions; a
  // tensor still has to be 2-D, floating and non-empty. exclude always wins. Each pattern must
  // match a tensor's name.
  std::vector<std::string> include;
  std::vector<std::string> exclude;
};

struct PlannedTensor {
  size_t file = 0;                     // index into Checkpoint::files and CompressionPlan::outputs
  const TensorInfo* source = nullptr;  // owned by the checkpoint
  bool compressed = false;
  std::string why_not;  // for people, when not compressed: "name matches *norm*"
};

// REQUIRES: the checkpoint outlives the plan.
struct CompressionPlan {
  CompressionOptions options;
  std::vector<PlannedTensor> tensors;  // by file, then offset
  std::vector<PlannedOutput> outputs;  // one for each file of the checkpoint, same order
  // Small files to write and files to copy; empty for a single-file checkpoint. Rewritten are the
  // indexes and the config.json of the checkpoint's root.
  std::vector<std::pair<std::string, std::string>> rewritten;  // relative path -> new content
  std::vector<std::string> copied;                             // relative paths

  int64_t weights = 0;        // elements of compressed tensors
  uint64_t input_bytes = 0;   // all safetensors files
  uint64_t output_bytes = 0;  // all planned outputs
};

// Errors: INVALID_ARGUMENT: a bad pattern, one that matches no name, nearest with fitted, a
// checkpoint that is already compressed, nothing to compress (says why, with the most frequent
// reason), a plane's name that the checkpoint already uses, a config.json or index that is not
// JSON, a config.json that has a quantization_config already. Those of reading config.json and the
// index.
absl::StatusOr<CompressionPlan> PlanCompression(const Checkpoint& checkpoint,
                                                const CompressionOptions& options);

}  // namespace seedlm::format
