#include "kernels/backend/weight_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/narrow.h"

namespace seedlm::backend {
namespace {

// Column of the first weight that is NaN or infinite, or -1.
int64_t FirstNotFinite(const float* row, int64_t columns) {
  bool finite = true;  // x - x is 0 for finite x only; no early exit, so that it vectorises
  for (int64_t i = 0; i < columns; ++i) finite &= row[i] - row[i] == 0;
  if (finite) return -1;
  return std::find_if_not(row, row + columns, [](float x) { return std::isfinite(x); }) - row;
}

}  // namespace

absl::StatusOr<EncodedShard> EmptyPlanes(const ShardTask& shard) {
  const EncodeSpec& spec = *shard.spec;
  if (spec.fit == codec::Fit::kNearest && spec.levels.rule == codec::ScaleRule::kFitted) {
    return absl::InvalidArgumentError(
        "fit 'nearest' rounds to powers of two: it needs the scale 'paper' or 'pow2'");
  }
  const int64_t rows = shard.weights.rows;
  const int64_t per_row = spec.profile.blocks_per_row(shard.weights.columns);
  EncodedShard planes;
  planes.words.resize(static_cast<size_t>(rows * per_row));
  planes.levels.resize(static_cast<size_t>(rows * codec::LevelRowBytes(spec.profile, per_row)));
  return planes;
}

void Widen(WeightType type, std::span<const std::byte> bytes, std::span<float> weights) {
  if (type == WeightType::kF32) {
    std::memcpy(weights.data(), bytes.data(), bytes.size());
    return;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, &bytes[i * sizeof bits], sizeof bits);
    weights[i] = type == WeightType::kF16 ? codec::FromFloat16(bits) : codec::FromBfloat16(bits);
  }
}

absl::Status LoadBlocks(const codec::Profile& profile, const WeightRows& weights, int64_t first_row,
                        int64_t row_count, std::span<float> blocks) {
  const int64_t padded = profile.blocks_per_row(weights.columns) * profile.block;
  const int64_t row_bytes = weights.columns * ByteWidth(weights.type);
  for (int64_t r = 0; r < row_count; ++r) {
    float* out = blocks.data() + r * padded;
    Widen(weights.type,
          {weights.data + (first_row + r) * row_bytes, static_cast<size_t>(row_bytes)},
          {out, static_cast<size_t>(weights.columns)});
    if (const int64_t column = FirstNotFinite(out, weights.columns); column >= 0) {
      const char* what = std::isnan(out[column]) ? "NaN" : "infinite";
      return absl::InvalidArgumentError(absl::StrCat("row ", weights.first_row + first_row + r,
                                                     ", column ", column, ": weight is ", what));
    }
    std::fill(out + weights.columns, out + padded, 0.0f);
  }
  return absl::OkStatus();
}

absl::Status AddBlockNorms(const codec::Profile& profile, const WeightRows& weights,
                           codec::NormHistogram& histogram) {
  const int64_t per_row = profile.blocks_per_row(weights.columns);
  std::vector<float> blocks(LoadedSize(profile, weights, 1));
  for (int64_t row = 0; row < weights.rows; ++row) {
    if (auto status = LoadBlocks(profile, weights, row, 1, blocks); !status.ok()) return status;
    histogram.Add(profile, blocks.data(), (weights.first_row + row) * per_row, per_row);
  }
  return absl::OkStatus();
}

}  // namespace seedlm::backend
