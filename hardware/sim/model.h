// A compressed checkpoint as the FPGA sees it: its matrices, and its weights through the HLS
// decoder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hardware/sim/machine.h"
#include "kernels/format/packed_tensor.h"

namespace seedlm::hardware {

struct CompressedModel {
  std::vector<format::PackedFile> files;
  std::vector<const format::PackedTensor*> tensors;  // owned by `files`; by file and name

  // Opens a file or a directory. Errors: those of format::Checkpoint::Open and ReadPackedFile;
  // INVALID_ARGUMENT if nothing in it is compressed.
  static absl::StatusOr<CompressedModel> Open(const std::string& path);
};

// The products of one token, in the order of the file, each with a vector of its own; `4bit` only,
// which the units are made for. `shifts`: on the unit whose levels are shifts (POW2), as fast as
// the other. Errors: INVALID_ARGUMENT naming file and tensor: another profile, a row that is no
// multiple of the block, levels that the unit cannot take.
absl::StatusOr<std::vector<Matrix>> MatricesOf(const CompressedModel& model, bool shifts = false);

// Whether any tensor has the profile that the units multiply, 4bit.
bool HasMatrices(const CompressedModel& model);

struct TensorCheck {
  std::string name;
  int64_t weights = 0;
  int64_t differences = 0;  // between the HLS decoder and the codec
};

// Whether this build has the HLS decoder (hardware/fetch-hls-headers.sh was run before it).
bool HasHlsDecoder();

// Decodes every tensor, 4bit or 3bit, with the HLS sources, to bfloat16 where that is the source's
// type and to float16 elsewhere, and compares each weight with the codec's, rounded the same way.
// The decoded tensors go to the safetensors file `output` unless that is empty. Errors:
// UNIMPLEMENTED without the HLS decoder; INVALID_ARGUMENT naming file, tensor and reason: another
// profile, a zero seed, a row that is no multiple of the block, level rows of half bytes; those of
// writing.
absl::StatusOr<std::vector<TensorCheck>> CheckDecoder(const CompressedModel& model,
                                                      const std::string& output);

}  // namespace seedlm::hardware
