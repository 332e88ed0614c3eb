// Rows of a checkpoint as float32.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/format/dtype.h"

namespace seedlm::verify {

// F32, F16 or BF16: what can be compressed.
bool IsWeightType(format::DType type);

// Widens weights.size() little-endian elements. Exact. REQUIRES: IsWeightType(type).
void Widen(format::DType type, std::span<const std::byte> bytes, std::span<float> weights);

}  // namespace seedlm::verify
