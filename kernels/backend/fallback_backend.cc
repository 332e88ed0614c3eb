#include "kernels/backend/fallback_backend.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"

namespace seedlm::backend {
namespace {

// The same for a layer's outputs: sums of parts add up, whoever made them.
class FallbackMeter : public OutputMeter {
 public:
  FallbackMeter(std::unique_ptr<OutputMeter> first, std::unique_ptr<OutputMeter> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  absl::StatusOr<OutputSums> Measure(int64_t rows, const float* weights,
                                     const float* differences) override {
    if (!lost_) {
      auto sums = first_->Measure(rows, weights, differences);
      if (sums.ok()) return sums;
      lost_ = true;
    }
    return second_->Measure(rows, weights, differences);
  }

 private:
  const std::unique_ptr<OutputMeter> first_;
  const std::unique_ptr<OutputMeter> second_;
  std::atomic<bool> lost_{false};
};

class FallbackBackend : public Backend {
 public:
  FallbackBackend(std::shared_ptr<const Backend> first, std::shared_ptr<const Backend> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  std::string_view name() const override { return Current().name(); }
  std::string description() const override { return Current().description(); }

  int64_t BlocksTogether(const codec::Profile& profile) const override {
    return Current().BlocksTogether(profile);
  }

  Results EncodeAll(std::span<const ShardTask> shards, std::stop_token stop) const override {
    if (lost_) return Signed(second_->EncodeAll(shards, std::move(stop)), *second_);
    Results results = Signed(first_->EncodeAll(shards, stop), *first_);
    const auto lost = std::find_if(results.begin(), results.end(), [](const auto& shard) {
      return absl::IsUnavailable(shard.status());
    });
    if (lost == results.end()) return results;
    std::string warning;
    if (!lost_.exchange(true)) {
      warning = absl::StrCat("backend '", std::string(first_->name()), "' is lost, '",
                             std::string(second_->name()), "' goes on: ", lost->status().message());
    }
    EncodeLost(
        shards, absl::IsUnavailable,
        [&](std::span<const ShardTask> tasks) {
          return Signed(second_->EncodeAll(tasks, stop), *second_);
        },
        results);
    if (lost->ok() && !warning.empty()) (*lost)->warning = std::move(warning);
    return results;
  }

  absl::StatusOr<std::unique_ptr<OutputMeter>> MeterOutputs(
      const Activations& activations) const override {
    auto second = second_->MeterOutputs(activations);
    if (lost_ || !second.ok()) return second;
    auto first = first_->MeterOutputs(activations);
    if (!first.ok()) return second;
    return std::make_unique<FallbackMeter>(*std::move(first), *std::move(second));
  }

  // Judging is the host's, and the second is the one that is at home there.
  std::vector<size_t> FindForeign(const CodedBlocks& blocks) const override {
    return second_->FindForeign(blocks);
  }

  absl::Status Health() const override { return second_->Health(); }

 private:
  // name() may be another one's by now.
  static Results Signed(Results results, const Backend& by) {
    for (auto& shard : results) {
      if (shard.ok()) shard->backend = by.name();
    }
    return results;
  }
  const Backend& Current() const { return lost_ ? *second_ : *first_; }

  const std::shared_ptr<const Backend> first_;
  const std::shared_ptr<const Backend> second_;
  mutable std::atomic<bool> lost_{false};
};

}  // namespace

std::shared_ptr<const Backend> MakeFallbackBackend(std::shared_ptr<const Backend> first,
                                                   std::shared_ptr<const Backend> second) {
  return std::make_shared<FallbackBackend>(std::move(first), std::move(second));
}

}  // namespace seedlm::backend
