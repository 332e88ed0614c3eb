#include "kernels/cuda/device_lane.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/bitpack.h"

namespace seedlm::cuda {

using backend::EncodedShard;
using backend::ShardTask;
using backend::WeightRows;
using Results = backend::Backend::Results;

// A shard in batches: as many whole rows as fit, or else pieces of one row.
struct DeviceLane::Cut {
  size_t shard;
  const codec::Profile& profile;
  const WeightRows& weights;
  int64_t batch_blocks;
  int64_t per_row = profile.blocks_per_row(weights.columns);
  int64_t rows_at_once = per_row == 0 ? 0 : batch_blocks / per_row;
  int64_t pieces_a_row = (per_row + batch_blocks - 1) / batch_blocks;

  int64_t count() const {
    if (per_row == 0) return 0;
    return rows_at_once > 0 ? (weights.rows + rows_at_once - 1) / rows_at_once
                            : weights.rows * pieces_a_row;
  }

  Place At(int64_t i) const {
    if (rows_at_once > 0) {
      const int64_t row = i * rows_at_once;
      const int64_t rows = std::min(rows_at_once, weights.rows - row);
      return {shard, row, 0, {weights.type, rows, weights.columns, per_row}};
    }
    const int64_t first = i % pieces_a_row * batch_blocks;
    const int64_t columns =
        std::min(batch_blocks * profile.block, weights.columns - first * profile.block);
    return {shard,
            i / pieces_a_row,
            first,
            {weights.type, 1, columns, profile.blocks_per_row(columns)}};
  }

  const std::byte* Source(const Place& place) const {
    return weights.data + (place.row * weights.columns + place.first_block * profile.block) *
                              backend::ByteWidth(weights.type);
  }
};

absl::StatusOr<DeviceLane> DeviceLane::Make(int64_t batch_blocks) {
  DeviceLane lane;
  lane.batch_blocks_ = batch_blocks;
  for (Slot& slot : lane.slots_) {
    auto stream = MakeStream();
    if (!stream.ok()) return stream.status();
    auto memory = MakeDeviceMemory(DeviceBytes(batch_blocks) / lane.slots_.size());
    if (!memory.ok()) return memory.status();
    auto source = MakePinnedMemory(MaxSourceBytes(codec::k2bit, batch_blocks));
    if (!source.ok()) return source.status();
    auto result = MakePinnedMemory(MaxResultBytes(batch_blocks));
    if (!result.ok()) return result.status();
    slot.stream = *std::move(stream);
    slot.memory = *std::move(memory);
    slot.source = *std::move(source);
    slot.result = *std::move(result);
  }
  return lane;
}

size_t DeviceLane::DeviceBytes(int64_t batch_blocks) {
  size_t most = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    most = std::max(most, BatchDeviceBytes(profile, batch_blocks));
  }
  return 2 * most;
}

size_t DeviceLane::PinnedBytes(int64_t batch_blocks) {
  return 2 * (MaxSourceBytes(codec::k2bit, batch_blocks) + MaxResultBytes(batch_blocks));
}

Results DeviceLane::EncodeAll(SearchMethod method, std::span<const ShardTask> shards,
                              const TableView& tables, int processors, std::stop_token stop) {
  Results results;
  std::vector<Cut> cuts;
  for (const ShardTask& shard : shards) {
    cuts.push_back({results.size(), shard.spec->profile, shard.weights, batch_blocks_});
    results.push_back(backend::EmptyPlanes(shard));
  }
  std::vector<int64_t> left;  // batches of each shard that are not collected
  for (const Cut& cut : cuts) left.push_back(cut.count());
  size_t cut = 0;
  int64_t next = 0;  // batch of the cut
  const auto more = [&] {
    for (; cut < cuts.size(); ++cut, next = 0) {
      if (results[cut].ok() && next < cuts[cut].count()) return true;
    }
    return false;
  };
  absl::Status status;  // of the device
  int64_t queued = 0, collected = 0;
  const auto slot_of = [&](int64_t i) -> Slot& {
    return slots_[static_cast<size_t>(i) % slots_.size()];
  };
  while (status.ok() && (more() || collected < queued)) {
    if (stop.stop_requested()) {
      status = absl::CancelledError("encoding was stopped");
    } else if (more() && queued - collected < std::ssize(slots_)) {
      Slot& slot = slot_of(queued++);
      slot.place = cuts[cut].At(next++);
      std::memcpy(slot.source.get(), cuts[cut].Source(slot.place),
                  static_cast<size_t>(slot.place.rows.bytes()));
      status = ToStatus(QueueBatch(method, *shards[cut].spec, slot.place.rows, tables, processors,
                                   static_cast<const std::byte*>(slot.source.get()),
                                   static_cast<std::byte*>(slot.memory.get()),
                                   static_cast<std::byte*>(slot.result.get()), slot.stream.get()),
                        "queueing a batch");
    } else {
      const Slot& slot = slot_of(collected++);
      status = Collect(slot, shards[slot.place.shard], results[slot.place.shard]);
      left[slot.place.shard] -= status.ok();
    }
  }
  for (; collected < queued; ++collected) cudaStreamSynchronize(slot_of(collected).stream.get());
  for (size_t i = 0; i < results.size(); ++i) {
    if (!status.ok() && results[i].ok() && left[i] > 0) results[i] = status;
  }
  return results;
}

// Waits for a batch and puts its planes and losses in their place in `out`, unless that is an error
// already. A weight that is not finite is an error of `out`; those of the device are returned.
absl::Status DeviceLane::Collect(const Slot& slot, const ShardTask& shard,
                                 absl::StatusOr<EncodedShard>& out) {
  if (const cudaError_t error = cudaStreamSynchronize(slot.stream.get()); error != cudaSuccess) {
    return ToStatus(error, "searching a batch");
  }
  if (!out.ok()) return absl::OkStatus();
  const auto& [spec, weights] = shard;
  const auto& [_, row, first_block, rows] = slot.place;
  const codec::Profile& profile = spec->profile;
  const ResultLayout layout(profile, rows);
  const auto* result = static_cast<const std::byte*>(slot.result.get());
  unsigned long long first_bad;
  std::memcpy(&first_bad, result + layout.first_bad, sizeof first_bad);
  if (first_bad != kAllFinite) {
    std::vector<float> blocks(backend::LoadedSize(profile, weights, 1));
    const int64_t bad_row = row + static_cast<int64_t>(first_bad) / rows.columns;
    // The CPU finds it again, and its words for it.
    absl::Status status = backend::LoadBlocks(profile, weights, bad_row, 1, blocks);
    if (status.ok()) return absl::InternalError("the device found a NaN that is not there");
    out = std::move(status);
    return absl::OkStatus();
  }
  const int64_t per_row = profile.blocks_per_row(weights.columns);
  std::memcpy(&out->words[static_cast<size_t>(row * per_row + first_block)], result + layout.words,
              static_cast<size_t>(rows.count()) * sizeof(uint32_t));
  if (layout.levels < layout.bytes) {
    const int64_t at = row * codec::LevelRowBytes(profile, per_row) + first_block / 2;
    std::memcpy(&out->levels[static_cast<size_t>(at)], result + layout.levels,
                layout.bytes - layout.levels);
  }
  for (int64_t r = 0; r < rows.rows; ++r) {
    Loss loss;
    std::memcpy(&loss, result + layout.losses + static_cast<size_t>(r) * sizeof loss, sizeof loss);
    out->squared_error += loss.squared_error;
    out->squared_weights += loss.squared_weights;
    out->max_error = std::max(out->max_error, loss.max_error);
  }
  return absl::OkStatus();
}

}  // namespace seedlm::cuda
