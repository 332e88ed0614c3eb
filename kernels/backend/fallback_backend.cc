#include "kernels/backend/fallback_backend.h"

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"

namespace seedlm::backend {
namespace {

class FallbackBackend : public Backend {
 public:
  FallbackBackend(std::shared_ptr<const Backend> first, std::shared_ptr<const Backend> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  std::string_view name() const override { return Current().name(); }
  std::string description() const override { return Current().description(); }

  absl::StatusOr<EncodedShard> Encode(const EncodeSpec& spec, const WeightRows& weights,
                                      std::stop_token stop) const override {
    std::string warning;
    if (!lost_) {
      auto shard = first_->Encode(spec, weights, stop);
      if (shard.ok() || shard.status().code() != absl::StatusCode::kUnavailable) return shard;
      if (!lost_.exchange(true)) {
        warning =
            absl::StrCat("backend '", std::string(first_->name()), "' is lost, '",
                         std::string(second_->name()), "' goes on: ", shard.status().message());
      }
    }
    auto shard = second_->Encode(spec, weights, std::move(stop));
    if (shard.ok() && !warning.empty()) shard->warning = std::move(warning);
    return shard;
  }

 private:
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
