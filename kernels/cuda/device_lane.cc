#include "kernels/cuda/device_lane.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/bitpack.h"

namespace seedlm::cuda {

using backend::EncodedShard;
using backend::EncodeSpec;
using backend::WeightRows;

// A shard in batches: as many whole rows as fit, or else pieces of one row.
struct DeviceLane::Cut {
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
      return {row, 0, {weights.type, rows, weights.columns, per_row}};
    }
    const int64_t first = i % pieces_a_row * batch_blocks;
    const int64_t columns =
        std::min(batch_blocks * profile.block, weights.columns - first * profile.block);
    return {i / pieces_a_row, first, {weights.type, 1, columns, profile.blocks_per_row(columns)}};
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

absl::StatusOr<EncodedShard> DeviceLane::Encode(SearchMethod method, const EncodeSpec& spec,
                                                const WeightRows& weights, const TableView& tables,
                                                int processors, std::stop_token stop) {
  const Cut cut{spec.profile, weights, batch_blocks_};
  EncodedShard out;
  out.words.resize(static_cast<size_t>(weights.rows * cut.per_row));
  out.levels.resize(
      static_cast<size_t>(weights.rows * codec::LevelRowBytes(spec.profile, cut.per_row)));
  absl::Status status;
  int64_t queued = 0, collected = 0;
  const auto slot_of = [&](int64_t i) -> Slot& {
    return slots_[static_cast<size_t>(i) % slots_.size()];
  };
  while (status.ok() && collected < cut.count()) {
    if (stop.stop_requested()) {
      status = absl::CancelledError("encoding was stopped");
    } else if (queued < cut.count() && queued - collected < std::ssize(slots_)) {
      Slot& slot = slot_of(queued++);
      slot.place = cut.At(queued - 1);
      std::memcpy(slot.source.get(), cut.Source(slot.place),
                  static_cast<size_t>(slot.place.rows.bytes()));
      status = ToStatus(QueueBatch(method, spec, slot.place.rows, tables, processors,
                                   static_cast<const std::byte*>(slot.source.get()),
                                   static_cast<std::byte*>(slot.memory.get()),
                                   static_cast<std::byte*>(slot.result.get()), slot.stream.get()),
                        "queueing a batch");
    } else {
      status = Collect(slot_of(collected++), spec, weights, out);
    }
  }
  for (; collected < queued; ++collected) cudaStreamSynchronize(slot_of(collected).stream.get());
  if (!status.ok()) return status;
  return out;
}

// Waits for a batch and puts its planes and losses in their place.
absl::Status DeviceLane::Collect(Slot& slot, const EncodeSpec& spec, const WeightRows& weights,
                                 EncodedShard& out) {
  if (const cudaError_t error = cudaStreamSynchronize(slot.stream.get()); error != cudaSuccess) {
    return ToStatus(error, "searching a batch");
  }
  const auto& [row, first_block, rows] = slot.place;
  const ResultLayout layout(spec.profile, rows);
  const auto* result = static_cast<const std::byte*>(slot.result.get());
  unsigned long long first_bad;
  std::memcpy(&first_bad, result + layout.first_bad, sizeof first_bad);
  if (first_bad != kAllFinite) {
    std::vector<float> blocks;  // the CPU finds it again, and its words for it
    const int64_t bad_row = row + static_cast<int64_t>(first_bad) / rows.columns;
    absl::Status status = backend::LoadBlocks(spec.profile, weights, bad_row, 1, blocks);
    return status.ok() ? absl::InternalError("the device found a NaN that is not there") : status;
  }
  const int64_t per_row = spec.profile.blocks_per_row(weights.columns);
  std::memcpy(&out.words[static_cast<size_t>(row * per_row + first_block)], result + layout.words,
              static_cast<size_t>(rows.count()) * sizeof(uint32_t));
  if (layout.levels < layout.bytes) {
    const int64_t at = row * codec::LevelRowBytes(spec.profile, per_row) + first_block / 2;
    std::memcpy(&out.levels[static_cast<size_t>(at)], result + layout.levels,
                layout.bytes - layout.levels);
  }
  for (int64_t r = 0; r < rows.rows; ++r) {
    Loss loss;
    std::memcpy(&loss, result + layout.losses + static_cast<size_t>(r) * sizeof loss, sizeof loss);
    out.squared_error += loss.squared_error;
    out.squared_weights += loss.squared_weights;
    out.max_error = std::max(out.max_error, loss.max_error);
  }
  return absl::OkStatus();
}

}  // namespace seedlm::cuda
