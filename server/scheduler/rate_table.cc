#include "server/scheduler/rate_table.h"

#include "absl/strings/str_cat.h"

namespace seedlm::server {
namespace {

// Share of the newest shard in the moving mean.
constexpr double kNewest = 0.1;

// Blocks a second by the scan of all seeds, before anything was measured: two digits of what one
// core with AVX2 did for 4bit/optimal (kernels/bench). For cuda a tenth of what the operations
// allow on one H200 (kernels/cuda/seed_search.h); nobody has measured it. No promise.
struct Default {
  std::string_view backend;
  double blocks_per_second;
  bool per_thread;  // else of the device, however many threads feed it
};
constexpr Default kDefaults[] = {
    {"cuda", 3.0e6, false}, {"cpu", 25'000, true}, {"reference", 460, true}};

std::string Key(std::string_view backend, const codec::Profile& profile, codec::Fit fit) {
  return absl::StrCat(std::string(backend), "/", std::string(profile.name), "/",
                      std::string(codec::Name(fit)));
}

}  // namespace

void RateTable::Record(std::string_view backend, const codec::Profile& profile, codec::Fit fit,
                       int64_t weights, double seconds) {
  if (weights <= 0 || seconds <= 0) return;
  const double rate = static_cast<double>(weights) / seconds;
  const std::lock_guard lock(mutex_);
  const auto [it, first] = measured_.try_emplace(Key(backend, profile, fit), rate);
  if (!first) it->second += kNewest * (rate - it->second);
}

double RateTable::WeightsPerSecond(std::string_view backend, const codec::Profile& profile,
                                   codec::Fit fit, int threads, double scans) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = measured_.find(Key(backend, profile, fit)); it != measured_.end()) {
      return it->second * threads;
    }
  }
  for (const Default& known : kDefaults) {
    if (known.backend != backend) continue;
    return known.blocks_per_second * profile.block / scans * (known.per_thread ? threads : 1);
  }
  return 0;
}

}  // namespace seedlm::server
