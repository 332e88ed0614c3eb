#include "client/retry.h"

#include <grpcpp/channel.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <thread>

#include "client/rpc_status.h"

namespace seedlm::client {
namespace {

// A server that names a longer delay than this is asked all the same: it may have changed its mind.
constexpr std::chrono::milliseconds kLongestHint{60'000};

// A wait for a channel cannot be interrupted: a stop is looked for this often.
constexpr std::chrono::milliseconds kStopInterval{100};

}  // namespace

bool IsLost(const absl::Status& status) {
  return absl::IsUnavailable(status) && ErrorReason(status).empty();
}

bool IsAway(const absl::Status& status) {
  return IsLost(status) || ErrorReason(status) == "SERVER_DRAINING";
}

bool IsRetryable(const absl::Status& status) {
  if (absl::IsAborted(status)) return ErrorReason(status) != "ETAG_MISMATCH";
  return absl::IsUnavailable(status) || RetryAfter(status).has_value();
}

std::optional<std::chrono::milliseconds> NextDelay(const RetryPolicy& policy,
                                                   const absl::Status& status, int failed_attempts,
                                                   double uniform) {
  const bool alone = policy.max_away > 0 && IsAway(status);
  const int most = alone ? policy.max_away : policy.max_attempts;
  if (!IsRetryable(status) || failed_attempts >= most) return std::nullopt;
  const auto hint = RetryAfter(status);
  if (hint.has_value() && !alone) {
    const auto kept = std::clamp(*hint, std::chrono::milliseconds(0), kLongestHint);
    return std::chrono::milliseconds(
        std::llround(static_cast<double>(kept.count()) * (1 + policy.jitter * uniform)));
  }
  const double grown = static_cast<double>(policy.first_delay.count()) *
                       std::pow(policy.multiplier, failed_attempts - 1);
  const double capped = std::min(grown, static_cast<double>(policy.max_delay.count()));
  const double jittered = capped * (1 - policy.jitter + 2 * policy.jitter * uniform);
  const auto own = std::chrono::milliseconds(std::llround(jittered));
  // A server that ends names a pause, but its restart takes longer.
  return hint.has_value() ? std::max(own, std::min(*hint, kLongestHint)) : own;
}

absl::Status Retry(const RetryPolicy& policy, grpc::Channel& channel, const std::stop_token& stop,
                   const std::function<absl::Status()>& attempt) {
  int answered = 0;  // attempts that failed
  int away = 0;      // those that are counted alone
  while (true) {
    absl::Status status = attempt();
    if (status.ok()) return status;
    const int failed = policy.max_away > 0 && IsAway(status) ? ++away : ++answered;
    const auto delay = NextDelay(policy, status, failed, UniformRandom());
    if (!delay || !PauseUnlessStopped(channel, *delay, stop)) return status;
  }
}

bool PauseUnlessStopped(grpc::Channel& channel, std::chrono::milliseconds duration,
                        const std::stop_token& stop) {
  const auto end = std::chrono::steady_clock::now() + duration;
  const grpc_connectivity_state at_first = channel.GetState(/*try_to_connect=*/true);
  // So a channel within the process answers, which has no state to wait for.
  const bool has_state = at_first != GRPC_CHANNEL_SHUTDOWN;
  while (!stop.stop_requested()) {
    const auto left = end - std::chrono::steady_clock::now();
    const auto state = has_state ? channel.GetState(/*try_to_connect=*/true) : at_first;
    const bool connected = state == GRPC_CHANNEL_READY && at_first != GRPC_CHANNEL_READY;
    if (connected || left <= left.zero()) return true;
    const auto slice = std::min<std::chrono::nanoseconds>(left, kStopInterval);
    if (has_state) {
      (void)channel.WaitForStateChange(state, std::chrono::system_clock::now() + slice);
    } else {
      std::this_thread::sleep_for(slice);
    }
  }
  return false;
}

double UniformRandom() {
  static thread_local std::minstd_rand generator{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(generator);
}

}  // namespace seedlm::client
