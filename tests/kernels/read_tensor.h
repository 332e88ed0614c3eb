// Whole tensors in memory, for tests. They abort where the file cannot be read.
#pragma once

#include <cstdlib>
#include <vector>

#include "kernels/format/packed_codes.h"
#include "kernels/format/safetensors.h"

namespace seedlm::format {

inline std::vector<std::byte> BytesOf(const SafetensorsFile& file, const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.byte_size());
  if (!file.Read(tensor, 0, bytes).ok()) std::abort();
  return bytes;
}

// A row as float32.
inline std::vector<float> DecodedRow(const PackedTensor& tensor, int64_t row) {
  std::vector<float> weights;
  const absl::Status status = ReadCodes(tensor, row, 1, [&](const CodePiece& piece) {
    const size_t begin = weights.size();
    weights.resize(begin + static_cast<size_t>(piece.columns()));
    piece.DecodeRow(row, std::span(weights).subspan(begin));
    return absl::OkStatus();
  });
  if (!status.ok()) std::abort();
  return weights;
}

// What CodePiece::CheckRow says of a row.
inline absl::Status CheckRow(const PackedTensor& tensor, int64_t row) {
  return ReadCodes(tensor, row, 1, [&](const CodePiece& piece) { return piece.CheckRow(row); });
}

}  // namespace seedlm::format
