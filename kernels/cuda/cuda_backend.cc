#include "kernels/cuda/cuda_backend.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/output_meter.h"

namespace seedlm::cuda {
namespace {

class CudaBackend : public backend::Backend {
 public:
  explicit CudaBackend(std::unique_ptr<DevicePool> pool) : pool_(std::move(pool)) {}

  std::string_view name() const override { return "cuda"; }
  std::string description() const override {
    return absl::StrCat(pool_->Description(), ", exact search on the device");
  }

  absl::StatusOr<backend::EncodedShard> Encode(const backend::EncodeSpec& spec,
                                               const backend::WeightRows& weights,
                                               std::stop_token stop) const override {
    if (spec.fit == codec::Fit::kNearest && spec.levels.rule == codec::ScaleRule::kFitted) {
      return absl::InvalidArgumentError(
          "fit 'nearest' rounds to powers of two: it needs the scale 'paper' or 'pow2'");
    }
    DevicePool::Tried tried;
    for (;;) {
      auto lease = pool_->Take(stop, tried);
      if (!lease.ok()) return lease.status();
      auto shard = lease->Encode(spec, weights, stop);
      if (shard.ok() || !IsDeviceFailure(shard.status())) return shard;
      lease->TakeOut(shard.status(), tried);
    }
  }

  absl::StatusOr<std::unique_ptr<backend::OutputMeter>> MeterOutputs(
      const backend::Activations& activations) const override {
    const auto device = pool_->AnyDevice();
    if (!device.ok()) return device.status();
    return MakeCudaOutputMeter(*device, activations);
  }

  absl::Status Health() const override { return pool_->Health(); }

 private:
  std::unique_ptr<DevicePool> pool_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const backend::Backend>> MakeCudaBackend(
    const PoolOptions& options) {
  auto pool = DevicePool::Make(options);
  if (!pool.ok()) return pool.status();
  return std::make_shared<CudaBackend>(*std::move(pool));
}

}  // namespace seedlm::cuda
