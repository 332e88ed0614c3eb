// Weights as bytes -> float32 blocks. The one place that widens, pads and refuses NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "kernels/backend/shard.h"
#include "kernels/codec/level_design.h"

namespace seedlm::backend {

// Widens weights.size() little-endian elements, of any alignment. Exact. REQUIRES:
// bytes.size() == weights.size() * ByteWidth(type).
void Widen(WeightType type, std::span<const std::byte> bytes, std::span<float> weights);

// Widens rows [first_row, first_row + row_count) of `weights` into `blocks`, float32
// [row_count * blocks_per_row, profile.block], zero padded. Resizes `blocks`.
// Errors: INVALID_ARGUMENT naming row and column (in the tensor) of the first weight that is NaN
// or infinite.
absl::Status LoadBlocks(const codec::Profile& profile, const WeightRows& weights, int64_t first_row,
                        int64_t row_count, std::vector<float>& blocks);

// Adds all blocks of `weights` to `histogram`, with their index in the tensor. Same errors as
// LoadBlocks.
absl::Status AddBlockNorms(const codec::Profile& profile, const WeightRows& weights,
                           codec::NormHistogram& histogram);

}  // namespace seedlm::backend
