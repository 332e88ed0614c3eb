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
inline constexpr size_t kMaxMetadataKeys = 100'000;

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // in the order of offsets, which is the header's
  std::map<std::string, std::string> metadata;
};

// Parses the header (without its length prefix) of a file whose data section has `data_bytes`
// bytes, and makes sure that the tensors cover that section, one after the other, without a gap.
// Errors: INVALID_ARGUMENT "tensor 'N': REASON" or "header: REASON"; no file name yet. They are
// about the tensor, where one is at fault, and the byte of the file, where it is known (fault.h).
absl::StatusOr<SafetensorsHeader> ParseHeader(std::string_view text, uint64_t data_bytes);

// "" or what is wrong with the length of a tensor's name.
std::string NameProblem(std::string_view name);

// The headers of a checkpoint's files, added up.
class HeaderTotals {
 public:
  // Of one more file. "" or why they are too many together.
  std::string Add(size_t tensors, uint64_t header_bytes);

 private:
  size_t tensors_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace seedlm::format
