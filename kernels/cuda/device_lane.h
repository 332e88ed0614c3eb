// One call's way through a device: two streams with their buffers, used in turn, so that while one
// batch is searched the next is copied to pinned memory and uploaded, and the last downloaded.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/cuda/cuda_raii.h"
#include "kernels/cuda/encode_batch.h"
#include "kernels/cuda/search_tables.h"

namespace seedlm::cuda {

// Not thread-safe: one call at a time, on a thread whose current device is the lane's.
class DeviceLane {
 public:
  // Batches of at most `batch_blocks` blocks, an even number. Errors: RESOURCE_EXHAUSTED and those
  // of the device.
  static absl::StatusOr<DeviceLane> Make(int64_t batch_blocks);

  // Upper bounds of what Make takes, for any profile.
  static size_t DeviceBytes(int64_t batch_blocks);
  static size_t PinnedBytes(int64_t batch_blocks);

  // Encodes shards, whose batches follow each other without a gap; errors as
  // backend::Backend::EncodeAll, and UNAVAILABLE, INTERNAL or RESOURCE_EXHAUSTED, of every shard
  // that was not finished, where the device fails. Nothing is left running at the end.
  backend::Backend::Results EncodeAll(SearchMethod method,
                                      std::span<const backend::ShardTask> shards,
                                      const TableView& tables, int processors,
                                      std::stop_token stop);

 private:
  // Where a batch lies.
  struct Place {
    size_t shard;
    int64_t row;
    int64_t first_block;  // of its row; 0 unless a row is longer than a batch
    BatchRows rows;
  };
  struct Slot {
    Stream stream;
    DeviceMemory memory;
    PinnedMemory source;
    PinnedMemory result;
    Place place;
  };
  struct Cut;

  static absl::Status Collect(const Slot& slot, const backend::ShardTask& shard,
                              absl::StatusOr<backend::EncodedShard>& out);

  int64_t batch_blocks_ = 0;
  std::array<Slot, 2> slots_;
};

}  // namespace seedlm::cuda
