// Activations of a model's layers, for the error of what the layers put out.
//
// A safetensors file or directory. A tensor belongs to the compressed one of the same name, or of
// that name followed by ".weight"; its shape is [n, in], or [.., n, in], in the columns of the
// weight [out, in]; F32, F16 or BF16. Rows are samples: inputs that the layer has seen.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/format/checkpoint.h"
#include "kernels/verify/packed_checkpoint.h"

namespace seedlm::verify {

// The inputs of one layer as float32 [samples][columns].
struct LayerInput {
  int64_t samples = 0;
  int64_t columns = 0;
  std::vector<float> values;
};

// Which activations belong to which compressed tensor. The checkpoint must outlive it.
class LayerInputs {
 public:
  // As float32: what is held of one layer at a time.
  static constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

  // INVALID_ARGUMENT naming the tensor: none of the activations belongs to a compressed tensor; a
  // shape or dtype that does not fit; no samples, or more than kMaxBytes of them.
  static absl::StatusOr<LayerInputs> Match(const format::Checkpoint& activations,
                                           const PackedCheckpoint& compressed);

  bool has(const std::string& compressed) const { return sources_.contains(compressed); }
  // Reads them. INVALID_ARGUMENT naming tensor, sample and column of a value that is not finite;
  // errors of reading. REQUIRES: has(compressed).
  absl::StatusOr<LayerInput> Read(const std::string& compressed) const;

  // Names of activations that belong to no compressed tensor, in file order.
  const std::vector<std::string>& unused() const { return unused_; }

 private:
  struct Source {
    const format::SafetensorsFile* file;
    const format::TensorInfo* tensor;
  };
  std::map<std::string, Source> sources_;  // by the name of the compressed tensor
  std::vector<std::string> unused_;
};

}  // namespace seedlm::verify
