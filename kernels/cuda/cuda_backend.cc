#include "kernels/cuda/cuda_backend.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/output_meter.h"

namespace seedlm::cuda {
namespace {

class CudaBackend : public backend::Backend {
 public:
  CudaBackend(std::unique_ptr<DevicePool> pool, int64_t batch_blocks)
      : pool_(std::move(pool)), batch_blocks_(batch_blocks) {}

  std::string_view name() const override { return "cuda"; }
  std::string description() const override {
    return absl::StrCat(pool_->Description(), ", exact search on the device");
  }

  std::vector<backend::DeviceInfo> Devices() const override { return pool_->Devices(); }

  int64_t BlocksTogether(const codec::Profile&) const override {
    return kCallBatches * batch_blocks_;
  }

  Results EncodeAll(std::span<const backend::ShardTask> shards,
                    std::stop_token stop) const override {
    Results results(shards.size(), absl::UnavailableError("not encoded yet"));
    const auto lost = [&results] {
      return std::find_if(results.begin(), results.end(),
                          [](const auto& shard) { return IsDeviceFailure(shard.status()); });
    };
    DevicePool::Tried tried;
    while (lost() != results.end()) {
      auto lease = pool_->Take(stop, tried);
      EncodeLost(
          shards, IsDeviceFailure,
          [&](std::span<const backend::ShardTask> tasks) {
            return lease.ok() ? lease->EncodeAll(tasks, stop)
                              : Results(tasks.size(), lease.status());
          },
          results);
      if (!lease.ok()) break;
      if (lost() != results.end()) lease->TakeOut(lost()->status(), tried);
    }
    return results;
  }

  absl::StatusOr<std::unique_ptr<backend::OutputMeter>> MeterOutputs(
      const backend::Activations& activations) const override {
    const auto device = pool_->AnyDevice();
    if (!device.ok()) return device.status();
    return MakeCudaOutputMeter(*device, activations);
  }

  absl::Status Health() const override { return pool_->Health(); }

 private:
  // The first batch of a call is uploaded and the last downloaded while no other is searched.
  static constexpr int64_t kCallBatches = 16;

  std::unique_ptr<DevicePool> pool_;
  const int64_t batch_blocks_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const backend::Backend>> MakeCudaBackend(
    const PoolOptions& options) {
  auto pool = DevicePool::Make(options);
  if (!pool.ok()) return pool.status();
  return std::make_shared<CudaBackend>(*std::move(pool), options.batch_blocks);
}

}  // namespace seedlm::cuda
