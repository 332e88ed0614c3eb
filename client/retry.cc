#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <random>

#include "client/rpc_status.h"

namespace seedlm::client {
namespace {

// A server that names a longer delay than this is asked all the same: it may have changed its mind.
constexpr std::chrono::milliseconds kLongestHint{60'000};

}  // namespace

bool IsRetryable(const absl::Status& status) {
  if (absl::IsAborted(status)) return ErrorReason(status) != "ETAG_MISMATCH";
  return absl::IsUnavailable(status) || RetryAfter(status).has_value();
}

std::optional<std::chrono::milliseconds> NextDelay(const RetryPolicy& policy,
                                                   const absl::Status& status, int failed_attempts,
                                                   double uniform) {
  if (!IsRetryable(status) || failed_attempts >= policy.max_attempts) return std::nullopt;
  if (const auto hint = RetryAfter(status)) {
    const auto kept = std::clamp(*hint, std::chrono::milliseconds(0), kLongestHint);
    return std::chrono::milliseconds(
        std::llround(static_cast<double>(kept.count()) * (1 + policy.jitter * uniform)));
  }
  const double grown = static_cast<double>(policy.first_delay.count()) *
                       std::pow(policy.multiplier, failed_attempts - 1);
  const double capped = std::min(grown, static_cast<double>(policy.max_delay.count()));
  const double jittered = capped * (1 - policy.jitter + 2 * policy.jitter * uniform);
  return std::chrono::milliseconds(std::llround(jittered));
}

absl::Status Retry(const RetryPolicy& policy, std::stop_token stop,
                   const std::function<absl::Status()>& attempt) {
  for (int failed = 1;; ++failed) {
    absl::Status status = attempt();
    if (status.ok()) return status;
    const auto delay = NextDelay(policy, status, failed, UniformRandom());
    if (!delay || !SleepUnlessStopped(*delay, stop)) return status;
  }
}

bool SleepUnlessStopped(std::chrono::milliseconds duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

double UniformRandom() {
  static thread_local std::minstd_rand generator{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(generator);
}

}  // namespace seedlm::client
