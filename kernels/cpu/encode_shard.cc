#include "kernels/cpu/encode_shard.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/seed_search.h"
#include "kernels/codec/shape.h"
#include "kernels/codec/squared_norms.h"
#include "kernels/cpu/kept_memory.h"

namespace seedlm::cpu {
namespace {

using backend::EncodedShard;
using backend::EncodeSpec;
using backend::ShardTask;
using Results = backend::Backend::Results;
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
template <class S>
Loss BlockLoss(const float* scale, const float* block, int64_t count,
               const codec::BlockCode& code) {
  float decoded[S::kBlock];
  codec::DecodeBlock(S::profile(), code, scale, decoded);
  Loss loss;
  for (int c = 0; c < S::kBlock; ++c) {
    if (c == count) break;
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
      loss.Add(BlockLoss<S>(scale, blocks + b * kWidth, columns - b * kWidth, code));
    }
  }
  out.squared_error += loss.squared_error;
  out.squared_weights += loss.squared_weights;
  out.max_error = std::max(out.max_error, loss.max_error);
}

// Shards on their way through batches.
class Batches {
 public:
  // REQUIRES: there are shards.
  Batches(std::span<const ShardTask> shards, int64_t batch_blocks, std::stop_token stop,
          const BatchEncoder& encode)
      : shards_(shards),
        profile_(shards.front().spec->profile),
        width_(static_cast<size_t>(profile_.block)),
        batch_blocks_(batch_blocks),
        stop_(std::move(stop)),
        encode_(encode) {
    int64_t all = 0;
    for (const ShardTask& shard : shards) all += shard.weights.rows * PerRow(shard);
    blocks_.reserve(static_cast<size_t>(std::min(all, batch_blocks)) * width_);
  }

  Results Run() && {
    for (const ShardTask& shard : shards_) {
      results_.push_back(backend::EmptyPlanes(shard));
      for (int64_t row = 0; row < shard.weights.rows && results_.back().ok();) row += Append(row);
    }
    Flush();
    return std::move(results_);
  }

 private:
  // Rows [row, row + rows) of a shard, from the batch's block `first` on.
  struct Part {
    size_t shard;
    int64_t row, rows;
    size_t first;
  };

  int64_t PerRow(const ShardTask& shard) const {
    return profile_.blocks_per_row(shard.weights.columns);
  }
  size_t filled() const { return blocks_.size() / width_; }

  // As many rows of the last shard as there is room for, from `row` on; returns how many.
  int64_t Append(int64_t row) {
    const ShardTask& shard = shards_[results_.size() - 1];
    const int64_t per_row = std::max<int64_t>(1, PerRow(shard));
    int64_t room = (batch_blocks_ - static_cast<int64_t>(filled())) / per_row;
    if (room < 1) {
      Flush();
      room = std::max<int64_t>(1, batch_blocks_ / per_row);
    }
    const Part part{results_.size() - 1, row, std::min(room, shard.weights.rows - row), filled()};
    absl::Status status = status_;
    if (status.ok()) {
      const size_t before = blocks_.size();
      blocks_.resize(before + backend::LoadedSize(profile_, shard.weights, part.rows));
      status = backend::LoadBlocks(profile_, shard.weights, row, part.rows,
                                   std::span(blocks_).subspan(before));
      if (!status.ok()) blocks_.resize(before);
    }
    if (status.ok()) {
      parts_.push_back(part);
    } else {
      results_.back() = std::move(status);
    }
    return part.rows;
  }

  // Encodes what is there.
  void Flush() {
    if (parts_.empty()) return;
    if (status_.ok()) status_ = Encode();
    for (const Part& part : parts_) {
      absl::StatusOr<EncodedShard>& out = results_[part.shard];
      if (!out.ok()) continue;
      if (status_.ok()) {
        Pack(part, *out);
      } else {
        out = status_;
      }
    }
    parts_.clear();
    blocks_.clear();
  }

  absl::Status Encode() {
    constexpr size_t kTogether = 64;  // blocks
    codes_.resize(filled());
    places_.clear();
    places_.reserve(filled());
    std::vector<size_t> ends;  // of the parts' places
    for (size_t p = 0; p < parts_.size(); ++p) {
      const EncodeSpec& spec = *shards_[parts_[p].shard].spec;
      const bool wanted = results_[parts_[p].shard].ok();  // not of a shard with a bad row behind
      const Candidate of_zeros = ZeroBlockCode(spec);
      const size_t last = p + 1 < parts_.size() ? parts_[p + 1].first : filled();
      for (size_t first = parts_[p].first; first < last; first += kTogether) {
        const size_t count = std::min(kTogether, last - first);
        double squared_norms[kTogether];
        codec::SquaredNorms(profile_, &blocks_[first * width_], static_cast<int64_t>(count),
                            squared_norms);
        for (size_t i = 0; i < count; ++i) {
          if (!wanted || squared_norms[i] == 0) {  // the least square of a float32 is 2^-298
            codes_[first + i] = of_zeros;
            continue;
          }
          places_.push_back(static_cast<uint32_t>(first + i));
          codes_[first + i] =
              codec::InitialCandidate(spec.fit, {&blocks_[(first + i) * width_], squared_norms[i]});
        }
      }
      ends.push_back(places_.size());
    }
    std::vector<Section> sections;
    for (size_t p = 0; p < parts_.size(); ++p) {
      const size_t first = p == 0 ? 0 : ends[p - 1];
      if (first == ends[p]) continue;
      sections.push_back(
          {shards_[parts_[p].shard].spec, std::span(places_).subspan(first, ends[p] - first)});
    }
    return encode_({blocks_.data(), codes_.data()}, sections, stop_);
  }

  void Pack(const Part& part, EncodedShard& out) const {
    const ShardTask& shard = shards_[part.shard];
    const auto per_row = static_cast<size_t>(PerRow(shard));
    for (int64_t r = 0; r < part.rows; ++r) {
      const size_t first = part.first + static_cast<size_t>(r) * per_row;
      codec::WithShape(profile_, [&](auto shape) {
        PackRow<decltype(shape)>(
            shard.spec->levels.scale.data(), std::span(codes_).subspan(first, per_row),
            &blocks_[first * width_], shard.weights.columns, part.row + r, out);
      });
    }
  }

  const std::span<const ShardTask> shards_;
  const codec::Profile& profile_;
  const size_t width_;
  const int64_t batch_blocks_;
  const std::stop_token stop_;
  const BatchEncoder& encode_;
  absl::Status status_;  // of the first batch that failed
  Results results_;      // of the shards that have begun
  std::vector<Part> parts_;
  KeptVector<float> blocks_;
  KeptVector<Candidate> codes_;
  KeptVector<uint32_t> places_;
};

}  // namespace

Results EncodeShards(std::span<const ShardTask> shards, int64_t batch_blocks, std::stop_token stop,
                     const BatchEncoder& encode_batch) {
  if (shards.empty()) return {};
  return Batches(shards, batch_blocks, std::move(stop), encode_batch).Run();
}

}  // namespace seedlm::cpu
