// What goes when a new output takes the place of a directory, and whether that may go.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "kernels/format/compression_plan.h"
#include "kernels/format/decompression_plan.h"

namespace seedlm::format {

// Relative paths of all files of an output.
using OutputPaths = std::set<std::string, std::less<>>;
OutputPaths PathsOf(const CompressionPlan& plan);
OutputPaths PathsOf(const DecompressionPlan& plan);

// kRestored: ordinary tensors, which nothing tells from those of other programs: from the weights
// that were compressed, perhaps, which restored ones must not replace.
enum class OutputKind : uint8_t { kCompressed, kRestored };

struct NewOutput {
  OutputPaths paths;
  OutputKind kind = OutputKind::kCompressed;
};

// Whether `directory` may be replaced, whole, by `output`: nobody loses a file that the new output
// has none for. It is empty, or every file in it has a namesake among the new ones, and every
// directory one below it. By a compressed output, it is replaced only if it is one itself: a
// *.safetensors at its top is compressed, and one such may have another name. By a restored one,
// only if no *.safetensors in it holds ordinary weights: all are compressed.
// Errors: FAILED_PRECONDITION, naming what is in the way.
absl::Status CheckReplaceable(const std::string& directory, const NewOutput& output);

}  // namespace seedlm::format
