#include <memory>
#include <mutex>
#include <string>

#include "kernels/codec/reference.h"
#include "kernels/cpu/backends.h"
#include "kernels/cpu/encode_shard.h"

namespace seedlm::cpu {
namespace {

// The tables of one profile, built at the first call, shared by the process.
const codec::ReferenceEncoder& EncoderFor(const codec::Profile& wanted) {
  static std::mutex mutex;
  static std::unique_ptr<const codec::ReferenceEncoder> encoders[codec::kProfiles.size()];
  const std::lock_guard lock(mutex);
  for (size_t i = 0; i < codec::kProfiles.size(); ++i) {
    if (codec::kProfiles[i].name != wanted.name) continue;
    if (!encoders[i]) encoders[i] = std::make_unique<codec::ReferenceEncoder>(codec::kProfiles[i]);
    return *encoders[i];
  }
  return *encoders[0];
}

constexpr int64_t kBatchBlocks = 1024;

class ReferenceBackend : public backend::Backend {
 public:
  std::string_view name() const override { return "reference"; }
  std::string description() const override { return "scalar float64, every seed"; }

  absl::StatusOr<backend::EncodedShard> Encode(const backend::EncodeSpec& spec,
                                               const backend::WeightRows& weights,
                                               std::stop_token stop) const override {
    const codec::ReferenceEncoder& encoder = EncoderFor(spec.profile);
    const size_t width = static_cast<size_t>(spec.profile.block);
    return EncodeShard(spec, weights, kBatchBlocks, stop,
                       [&](const Batch& batch, std::stop_token stopped) {
                         for (const uint32_t place : batch.places) {
                           if (stopped.stop_requested())
                             return absl::CancelledError("encoding was stopped");
                           batch.best[place] =
                               encoder.Search(spec.fit, spec.levels, batch.weights + place * width);
                         }
                         return absl::OkStatus();
                       });
  }
};

}  // namespace

std::shared_ptr<const backend::Backend> MakeReferenceBackend() {
  return std::make_shared<ReferenceBackend>();
}

}  // namespace seedlm::cpu
