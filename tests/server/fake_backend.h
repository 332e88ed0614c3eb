// A backend whose codes are plain to see and whose manners a test decides.
#pragma once

#include <atomic>
#include <bit>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/bitpack.h"

namespace seedlm::server {

// A block's word is the bits of its first weight; a block's level its number, modulo 16; its error
// the square of its first weight.
class FakeBackend : public backend::Backend {
 public:
  // Called at the start of every shard, but not for the samples from which levels are chosen.
  std::function<absl::Status(const backend::WeightRows&, std::stop_token)> before = [](auto&&...) {
    return absl::OkStatus();
  };
  mutable std::atomic<int> shards = 0;
  std::string by;  // EncodedShard::backend; changed by `before` of a job with one thread
  std::atomic<bool> lost = false;
  std::atomic<bool> reopens = false;  // it is not lost any more once it is opened again

  absl::Status Health() const override {
    return lost ? absl::UnavailableError("device 0 is lost") : absl::OkStatus();
  }
  std::string_view name() const override { return "fake"; }
  std::string description() const override { return "first weights"; }
  int64_t blocks_together = 1;
  mutable std::atomic<int> calls = 0;  // with shards, but for samples

  int64_t BlocksTogether(const codec::Profile&) const override { return blocks_together; }
  Results EncodeAll(std::span<const backend::ShardTask> tasks,
                    std::stop_token stop) const override {
    calls += !tasks.empty() && !IsSample(tasks.front());
    Results results;
    for (const auto& [spec, weights] : tasks) results.push_back(EncodeOne(*spec, weights, stop));
    return results;
  }

 private:
  // Single blocks are samples, taken to choose the levels.
  static bool IsSample(const backend::ShardTask& task) {
    return task.weights.columns == task.spec->profile.block;
  }
  absl::StatusOr<backend::EncodedShard> EncodeOne(const backend::EncodeSpec& spec,
                                                  const backend::WeightRows& weights,
                                                  std::stop_token stop) const {
    if (!IsSample({&spec, weights})) {
      ++shards;
      if (absl::Status status = before(weights, stop); !status.ok()) return status;
    }
    std::vector<float> blocks(backend::LoadedSize(spec.profile, weights, weights.rows));
    absl::Status status = backend::LoadBlocks(spec.profile, weights, 0, weights.rows, blocks);
    if (!status.ok()) return status;
    const int64_t per_row = spec.profile.blocks_per_row(weights.columns);
    const int64_t level_bytes = codec::LevelRowBytes(spec.profile, per_row);
    backend::EncodedShard shard;
    shard.levels.resize(static_cast<size_t>(weights.rows * level_bytes));
    for (int64_t b = 0; b < weights.rows * per_row; ++b) {
      const float first = blocks[static_cast<size_t>(b * spec.profile.block)];
      shard.words.push_back(std::bit_cast<uint32_t>(first));
      shard.squared_error += static_cast<double>(first) * first;
      if (level_bytes > 0) {
        codec::PutLevelNibble(shard.levels.data() + (b / per_row) * level_bytes, b % per_row,
                              static_cast<uint32_t>(b % per_row % 16));
      }
    }
    for (const float w : blocks) shard.squared_weights += static_cast<double>(w) * w;
    shard.max_error = 0.5;
    shard.backend = by;
    return shard;
  }
};

}  // namespace seedlm::server
