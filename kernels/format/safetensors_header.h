// The JSON header of a safetensors file, parsed and checked. Private to this room.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/format/safetensors.h"

namespace seedlm::format {

inline constexpr std::string_view kMetadataObject = "__metadata__";
inline constexpr size_t kMaxDimensions = 64;  // NumPy's own limit

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in the order of offsets, which is the header's
  std::map<std::string, std::string> metadata;
};

// Parses the header (without its length prefix) of a file whose data section has `data_bytes`
// bytes, and makes sure that the tensors cover that section, one after the other, without a gap.
// Errors: INVALID_ARGUMENT "tensor 'N': REASON" or "header: REASON"; no file name yet.
absl::StatusOr<SafetensorsHeader> ParseHeader(std::string_view text, uint64_t data_bytes);

}  // namespace seedlm::format
