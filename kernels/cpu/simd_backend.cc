#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/cpu/backends.h"
#include "kernels/cpu/encode_shard.h"
#include "kernels/cpu/exhaustive_search.h"
#include "kernels/cpu/search_kernels.h"

namespace seedlm::cpu {
namespace {

constexpr int64_t kBatchBlocks = 1024;

class SimdBackend : public backend::Backend {
 public:
  explicit SimdBackend(const std::string& target) : target_(target), kernels_(KernelsFor(target)) {}

  std::string_view name() const override { return "cpu"; }
  std::string description() const override {
    return absl::StrCat(target_, ", scan of all seeds by sliding correlation");
  }

  absl::StatusOr<backend::EncodedShard> Encode(const backend::EncodeSpec& spec,
                                               const backend::WeightRows& weights,
                                               std::stop_token stop) const override {
    ExhaustiveSearch search(kernels_, spec);
    return EncodeShard(
        spec, weights, kBatchBlocks, stop,
        [&](const Batch& batch, std::stop_token stopped) { return search.Run(batch, stopped); });
  }

 private:
  std::string target_;
  SearchKernels kernels_;
};

}  // namespace

std::vector<std::string> SimdTargets() { return SupportedTargets(); }

absl::StatusOr<std::shared_ptr<const backend::Backend>> MakeSimdBackend(const std::string& wanted) {
  const std::vector<std::string> targets = SimdTargets();
  const std::string target = wanted.empty() ? targets.front() : wanted;
  if (std::find(targets.begin(), targets.end(), target) == targets.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("instruction set '", target,
                     "' is not one of this machine's: ", absl::StrJoin(targets, ", ")));
  }
  return std::make_shared<SimdBackend>(target);
}

}  // namespace seedlm::cpu
