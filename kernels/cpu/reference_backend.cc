#include <memory>
#include <string>
#include <utility>

#include "kernels/codec/reference.h"
#include "kernels/cpu/backends.h"
#include "kernels/cpu/encode_shard.h"
#include "kernels/search/per_profile.h"

namespace seedlm::cpu {
namespace {

constexpr int64_t kBatchBlocks = 1024;

class ReferenceBackend : public backend::Backend {
 public:
  std::string_view name() const override { return "reference"; }
  std::string description() const override { return "scalar float64, every seed"; }

  int64_t BlocksTogether(const codec::Profile&) const override { return 1; }

  Results EncodeAll(std::span<const backend::ShardTask> shards,
                    std::stop_token stop) const override {
    return EncodeShards(
        shards, kBatchBlocks, std::move(stop),
        [](const Batch& batch, std::span<const Section> sections, const std::stop_token& stopped) {
          for (const Section& section : sections) {
            const backend::EncodeSpec& spec = *section.spec;
            const auto& encoder = search::PerProfile<codec::ReferenceEncoder>(spec.profile);
            for (const uint32_t place : section.places) {
              if (stopped.stop_requested()) return absl::CancelledError("encoding was stopped");
              const float* block = batch.weights + place * static_cast<size_t>(spec.profile.block);
              batch.best[place] = encoder.Search(spec.fit, spec.levels, block);
            }
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
