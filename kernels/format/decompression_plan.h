// The way back: what decompressing a checkpoint writes, and the writing, in bounded memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/planned_output.h"
#include "kernels/format/safetensors.h"

namespace seedlm::format {

// The element type of restored tensors: that of the source (no value), or one for all. Tensors that
// were not compressed keep their bytes in any case.
using RestoredDType = std::optional<DType>;

// "source", "f32", "f16", "bf16". INVALID_ARGUMENT for anything else.
absl::StatusOr<RestoredDType> ParseRestoredDType(std::string_view name);

struct RestoredTensor {
  size_t file = 0;                       // index into DecompressionPlan::files and outputs
  const PackedTensor* packed = nullptr;  // owned by the plan; null: `other` is copied
  const TensorInfo* other = nullptr;     // owned by the plan's file

  const std::string& name() const { return packed != nullptr ? packed->name : other->name; }
};

// Owns the open files. Movable, not copyable: its tensors point into it.
struct DecompressionPlan {
  DecompressionPlan() = default;
  DecompressionPlan(DecompressionPlan&&) = default;
  DecompressionPlan& operator=(DecompressionPlan&&) = default;

  bool is_directory = false;
  std::string source;  // the checkpoint's path
  std::vector<PackedFile> files;
  std::vector<RestoredTensor> tensors;  // by file, then the offset of the first plane
  std::vector<PlannedOutput> outputs;   // one for each file, same order
  // Indexes with the original names, config.json without quantization_config; relative path ->
  // content. And the files to copy. Both empty for a single-file checkpoint.
  std::vector<std::pair<std::string, std::string>> rewritten;
  std::vector<std::string> copied;  // relative paths

  int64_t weights = 0;        // elements of tensors to be decoded
  uint64_t tensor_bytes = 0;  // of all restored tensors, decoded and copied
};

// `dtype`: kF32, kF16, kBF16 or none. Errors: INVALID_ARGUMENT: no file of the checkpoint is
// compressed, a dtype that weights cannot have, those of ReadPackedFile, a restored name that
// another file has too, an index or a config.json that is not JSON.
absl::StatusOr<DecompressionPlan> PlanDecompression(const Checkpoint& checkpoint,
                                                    RestoredDType dtype);

// What was just written of a tensor.
struct RestoredBatch {
  uint64_t bytes = 0;
  int64_t overflows = 0;  // weights too large for the dtype, which became infinite
};

// Told after each batch. A status that is not OK stops the work and is returned.
using RestoreProgress =
    absl::FunctionRef<absl::Status(const RestoredTensor& tensor, const RestoredBatch& batch)>;

// Writes one tensor of the plan through the writer of its file: decoded, rounded once to the dtype
// of the layout (what is too large for float16 becomes infinite), or copied. Uses a few MiB of
// memory whatever the tensor's size. Thread-safe for different tensors. Errors: INVALID_ARGUMENT
// naming tensor, row and block of a zero seed; FAILED_PRECONDITION if the source changed; those of
// writing.
absl::Status RestoreTensor(const DecompressionPlan& plan, const RestoredTensor& tensor,
                           const SafetensorsWriter& writer, RestoreProgress progress);

// Writes everything: to the file `path`, or to the directory `path`, which appears under its name
// only when it is whole. One that exists (kReplace) is replaced as a whole, and only if every file
// in it has a namesake among the new ones: see StagedDirectory. Errors: ALREADY_EXISTS (kFail),
// those of StagedDirectory, of RestoreTensor, of reading and of writing.
absl::Status RestoreCheckpoint(const DecompressionPlan& plan, const std::string& path,
                               IfExists if_exists, RestoreProgress progress);

}  // namespace seedlm::format
