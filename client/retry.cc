#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <random>

namespace seedlm::client {

bool IsRetryable(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kAborted;
}

std::optional<std::chrono::milliseconds> NextDelay(const RetryPolicy& policy, absl::StatusCode code,
                                                   int failed_attempts, double uniform) {
  if (!IsRetryable(code) || failed_attempts >= policy.max_attempts) return std::nullopt;
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
    const auto delay = NextDelay(policy, status.code(), failed, UniformRandom());
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
