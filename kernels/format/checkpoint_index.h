// model.safetensors.index.json: which file of a sharded checkpoint holds which tensor. Private to
// this room.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/checkpoint.h"

namespace seedlm::format {

inline constexpr uint64_t kMaxIndexBytes = kMaxHeaderBytes;

bool IsIndexName(std::string_view relative_path);         // *.safetensors.index.json
bool IsVariantIndexName(std::string_view relative_path);  // *.safetensors.index.fp16.json and such

// Checks one index of a checkpoint: every file that it names is there, beside or below the index,
// and holds the tensor. Errors: INVALID_ARGUMENT "INDEX: tensor 'N': reason".
absl::Status CheckIndex(const Checkpoint& checkpoint, const std::string& relative_path);

// A tensor that stands in an index in another one's place.
struct IndexEntry {
  std::string name;
  uint64_t bytes = 0;
};

// The index with each tensor of weight_map replaced by what `replace` gives for it (in the same
// file) and metadata.total_size counted anew; all else is kept. Same errors.
absl::StatusOr<std::string> RewriteIndex(
    const Checkpoint& checkpoint, const std::string& relative_path,
    const std::function<std::vector<IndexEntry>(std::string_view tensor)>& replace);

}  // namespace seedlm::format
