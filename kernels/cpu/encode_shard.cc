#include "kernels/cpu/encode_shard.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/seed_search.h"
#include "kernels/codec/shape.h"

namespace seedlm::cpu {
namespace {

using backend::EncodedShard;
using backend::EncodeSpec;
using backend::WeightRows;
using codec::Candidate;

// The code of an all-zero block: seed 1 with no coefficients, on the level that the fit gives it.
Candidate ZeroBlockCode(const EncodeSpec& spec) {
  const std::vector<float> zeros(static_cast<size_t>(spec.profile.block), 0.0f);
  const codec::BlockTask task = codec::MakeTask(spec.profile, zeros.data());
  Candidate best = codec::InitialCandidate(spec.fit, task);
  codec::EvaluateSeed(spec.profile, spec.fit, task, spec.levels, 1, best);
  return best;
}

// Sums over weights, without the padding.
struct Loss {
  double squared_error = 0;
  double squared_weights = 0;
  double max_error = 0;

  void Add(const Loss& other) {
    squared_error += other.squared_error;
    squared_weights += other.squared_weights;
    max_error = std::max(max_error, other.max_error);
  }
};

// One block's loss over its first `count` weights; the others are padding.
Loss BlockLoss(const codec::Profile& profile, const float* scale, const float* block, int64_t count,
               const codec::BlockCode& code) {
  float decoded[codec::kMaxBlock];
  codec::DecodeBlock(profile, code, scale, decoded);
  Loss loss;
  for (int64_t c = 0; c < count; ++c) {
    const double w = block[c];
    const double error = w - double{decoded[c]};
    loss.squared_weights += w * w;
    loss.squared_error += error * error;
    loss.max_error = std::max(loss.max_error, std::abs(error));
  }
  return loss;
}

// Packs one row of codes. Losses are summed block by block, then row by row: an order that a device
// can follow, so that sums have the same bits everywhere.
template <class S>
void PackRow(const float* scale, std::span<const Candidate> codes, const float* blocks,
             int64_t columns, int64_t row, EncodedShard& out) {
  constexpr codec::Profile kProfile = S::profile();
  const int64_t per_row = static_cast<int64_t>(codes.size());
  constexpr int64_t kWidth = S::kBlock;
  uint32_t* words = &out.words[static_cast<size_t>(row * per_row)];
  const int64_t level_bytes = codec::LevelRowBytes(kProfile, per_row);
  uint8_t* levels = out.levels.data() + row * level_bytes;
  Loss loss;
  for (int64_t b = 0; b < per_row; ++b) {
    const Candidate& best = codes[static_cast<size_t>(b)];
    const codec::BlockCode code = codec::FromSeedAndRemainder(kProfile, best.seed, best.remainder);
    words[b] = codec::PackWord(kProfile, code);
    if (level_bytes > 0) codec::PutLevelNibble(levels, b, code.level);
    if (best.error > 0 || best.remainder != 0) {
      loss.Add(BlockLoss(kProfile, scale, blocks + b * kWidth,
                         std::min(kWidth, columns - b * kWidth), code));
    }
  }
  out.squared_error += loss.squared_error;
  out.squared_weights += loss.squared_weights;
  out.max_error = std::max(out.max_error, loss.max_error);
}

// Codes of all blocks of [count, C]. CANCELLED when `stop` asks for it.
absl::Status EncodeBlocks(const EncodeSpec& spec, const std::vector<float>& blocks,
                          std::stop_token stop, const BatchEncoder& encode_batch,
                          std::vector<uint32_t>& places, std::vector<Candidate>& codes) {
  const size_t width = static_cast<size_t>(spec.profile.block);
  codes.assign(blocks.size() / width, ZeroBlockCode(spec));
  places.clear();
  for (size_t i = 0; i < codes.size(); ++i) {
    const float* block = &blocks[i * width];
    if (std::all_of(block, block + width, [](float w) { return w == 0; })) continue;
    places.push_back(static_cast<uint32_t>(i));
    codes[i] = codec::InitialCandidate(spec.fit, codec::MakeTask(spec.profile, block));
  }
  return encode_batch({blocks.data(), places, codes.data()}, stop);
}

}  // namespace

absl::StatusOr<EncodedShard> EncodeShard(const EncodeSpec& spec, const WeightRows& weights,
                                         int64_t batch_blocks, std::stop_token stop,
                                         const BatchEncoder& encode_batch) {
  if (spec.fit == codec::Fit::kNearest && spec.levels.rule == codec::ScaleRule::kFitted) {
    return absl::InvalidArgumentError(
        "fit 'nearest' rounds to powers of two: it needs the scale 'paper' or 'pow2'");
  }
  const int64_t per_row = spec.profile.blocks_per_row(weights.columns);
  EncodedShard out;
  out.words.resize(static_cast<size_t>(weights.rows * per_row));
  out.levels.resize(
      static_cast<size_t>(weights.rows * codec::LevelRowBytes(spec.profile, per_row)));

  const int64_t rows_at_once = std::max<int64_t>(1, batch_blocks / std::max<int64_t>(1, per_row));
  std::vector<float> blocks;
  std::vector<uint32_t> places;
  std::vector<Candidate> codes;
  for (int64_t row = 0; row < weights.rows; row += rows_at_once) {
    const int64_t count = std::min(rows_at_once, weights.rows - row);
    absl::Status status = backend::LoadBlocks(spec.profile, weights, row, count, blocks);
    if (status.ok()) status = EncodeBlocks(spec, blocks, stop, encode_batch, places, codes);
    if (!status.ok()) return status;
    for (int64_t r = 0; r < count; ++r) {
      const size_t first = static_cast<size_t>(r * per_row);
      codec::WithShape(spec.profile, [&](auto shape) {
        PackRow<decltype(shape)>(spec.levels.scale.data(),
                                 std::span(codes).subspan(first, static_cast<size_t>(per_row)),
                                 &blocks[first * static_cast<size_t>(spec.profile.block)],
                                 weights.columns, row + r, out);
      });
    }
  }
  return out;
}

}  // namespace seedlm::cpu
