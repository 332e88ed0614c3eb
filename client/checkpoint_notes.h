// What people should know of the files of a checkpoint before or after it is compressed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "kernels/format/checkpoint.h"

namespace seedlm::client {

// Bytes of the files `relative_paths` of the directory; one that cannot be read counts as none.
uint64_t BytesOf(const std::string& directory, absl::Span<const std::string> relative_paths);

// "onnx/model.onnx, pytorch_model.bin: weights in other formats, ..."; empty if there are none.
std::string NoteOfOtherWeights(absl::Span<const std::string> relative_paths);

// Lines for stderr: weights in other formats, which are copied, and *.safetensors beside an index
// that does not name them (consolidated.safetensors), which are compressed as all the others.
std::vector<std::string> NotesOf(const format::Checkpoint& checkpoint);

}  // namespace seedlm::client
