// Weights as bytes -> float32 blocks. The one place that widens, pads, and refuses what cannot be
// encoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/shard.h"
#include "kernels/codec/level_design.h"

namespace seedlm::backend {

// The planes of a shard before it is encoded: zeros. INVALID_ARGUMENT for kNearest with a fitted
// table.
absl::StatusOr<EncodedShard> EmptyPlanes(const ShardTask& shard);

// Widens weights.size() little-endian elements, of any alignment. Exact. REQUIRES:
// bytes.size() == weights.size() * ByteWidth(type).
void Widen(WeightType type, std::span<const std::byte> bytes, std::span<float> weights);

// Widens rows [first_row, first_row + row_count) of `weights` to `blocks`, float32
// [row_count * blocks_per_row, profile.block], zero padded.
// Errors: INVALID_ARGUMENT naming row and column (in the tensor) of the first weight that is NaN
// or infinite. REQUIRES: blocks.size() == LoadedSize(profile, weights, row_count).
absl::Status LoadBlocks(const codec::Profile& profile, const WeightRows& weights, int64_t first_row,
                        int64_t row_count, std::span<float> blocks);
// Floats of so many rows as blocks.
inline size_t LoadedSize(const codec::Profile& profile, const WeightRows& weights,
                         int64_t row_count) {
  return static_cast<size_t>(row_count * profile.blocks_per_row(weights.columns) * profile.block);
}

// Adds all blocks of `weights` to `histogram`, with their index in the tensor. Same errors as
// LoadBlocks.
absl::Status AddBlockNorms(const codec::Profile& profile, const WeightRows& weights,
                           codec::NormHistogram& histogram);

}  // namespace seedlm::backend
