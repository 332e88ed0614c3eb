// The devices of this process and their lanes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/device_lane.h"
#include "kernels/search/index_store.h"

namespace seedlm::cuda {

struct PoolOptions {
  SearchMethod method = SearchMethod::kCells;     // where there are no cells, or no room: kSliding
  int64_t batch_blocks = kPipeline.batch_blocks;  // even
  int lanes_per_device = kPipeline.lanes_per_device;
  std::shared_ptr<search::IndexStore> index = nullptr;  // whose lists devices begin with
};

// Whether batches of a pool's size are searched through cells: those of 3bit are so many that a
// batch has one block in each, and then looking at all seeds is faster (README).
bool UsesCells(const codec::Profile& profile);

// Thread-safe. Device memory: at most BytesPerDevice() on each device, whatever is encoded, and
// what the driver needs for itself and the stacks of kernels.
class DevicePool {
 private:
  struct Device;

 public:
  // Devices that had no memory for a call; the next call asks them again. One for each call.
  class Tried {
   private:
    friend class DevicePool;
    absl::Status Why(const Device* device) const;  // OK: not tried

    std::vector<std::pair<const Device*, absl::Status>> devices_;
  };

  // A lane in use; goes back when destroyed. The calling thread's current device is the lane's.
  class Lease {
   public:
    Lease(DevicePool& pool, Device& device, std::unique_ptr<DeviceLane> lane)
        : pool_(&pool), device_(&device), lane_(std::move(lane)) {}
    Lease(Lease&&) = default;
    ~Lease() {
      if (lane_ != nullptr) pool_->GiveBack(*device_, std::move(lane_));
    }

    // DeviceLane::EncodeAll with the profile's tables. REQUIRES: there are shards.
    backend::Backend::Results EncodeAll(std::span<const backend::ShardTask> shards,
                                        std::stop_token stop);
    // The device is not used any more, for this reason; by this call, if it was out of memory.
    void TakeOut(const absl::Status& why, Tried& tried) { pool_->TakeOut(*device_, why, tried); }

   private:
    DevicePool* pool_;
    Device* device_;
    std::unique_ptr<DeviceLane> lane_;
  };

  // All devices that can be used. FAILED_PRECONDITION: there is none, and why: no driver, a driver
  // too old, no device, CUDA_VISIBLE_DEVICES, too small, too old.
  static absl::StatusOr<std::unique_ptr<DevicePool>> Make(const PoolOptions& options);
  ~DevicePool();

  // A lane of the device with the fewest in use, but for those that were `tried`; waits while all
  // are. CANCELLED when `stop` is requested. UNAVAILABLE, with the reasons, when every device has
  // been taken out, or has no memory now, which others of its users may give back.
  absl::StatusOr<Lease> Take(std::stop_token stop, Tried& tried);
  absl::StatusOr<Lease> Take(std::stop_token stop) {
    Tried none;
    return Take(std::move(stop), none);
  }

  // The number of the device with the fewest lanes in use, for work beside the lanes'. UNAVAILABLE:
  // every device has been taken out, with the reasons.
  absl::StatusOr<int> AnyDevice() const;
  absl::Status Health() const;  // that of AnyDevice

  std::vector<backend::DeviceInfo> Devices() const;
  // Of those that were usable at first: "NVIDIA H200 (132 processors, 139 GiB)", one after the
  // other; with the reason, for one that has been taken out.
  std::string Description() const;
  size_t BytesPerDevice() const;

 private:
  explicit DevicePool(const PoolOptions& options);

  // Fills in what it learns of the device.
  absl::Status Add(backend::DeviceInfo& info);
  absl::StatusOr<TableView> TablesOn(Device& device, const codec::Profile& profile);
  // With `mutex_`:
  Device* LeastBusy(const Tried& tried) const;  // with a lane that is free; null: none
  absl::Status AllFailed(const Tried& tried) const;
  void GiveBack(Device& device, std::unique_ptr<DeviceLane> lane);
  void TakeOut(Device& device, const absl::Status& why, Tried& tried);

  const PoolOptions options_;
  mutable std::mutex mutex_;  // guards what changes in devices_
  std::condition_variable_any changed_;
  // Constant after Make:
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<backend::DeviceInfo> refused_;
};

}  // namespace seedlm::cuda
