// One call's way through a device: two streams with their buffers, used in turn, so that while one
// batch is searched the next is copied to pinned memory and uploaded, and the last downloaded.
#pragma once

#include <array>
#include <cstdint>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/shard.h"
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

  // Encodes a shard; errors as backend::Backend::Encode, and UNAVAILABLE, INTERNAL or
  // RESOURCE_EXHAUSTED where the device fails. Nothing is left running at the end.
  absl::StatusOr<backend::EncodedShard> Encode(SearchMethod method, const backend::EncodeSpec& spec,
                                               const backend::WeightRows& weights,
                                               const TableView& tables, int processors,
                                               std::stop_token stop);

 private:
  // Where a batch lies in its shard.
  struct Place {
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

  absl::Status Collect(Slot& slot, const backend::EncodeSpec& spec,
                       const backend::WeightRows& weights, backend::EncodedShard& out);

  int64_t batch_blocks_ = 0;
  std::array<Slot, 2> slots_;
};

}  // namespace seedlm::cuda
