// When to send a request again. Only calls that may safely arrive twice come here: reads, and
// CreateJob with a request id.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>

#include "absl/status/status.h"

namespace grpc {
class Channel;
}

namespace seedlm::client {

struct RetryPolicy {
  int max_attempts = 4;                        // the first one included
  int max_away = 0;                            // of those where IsAway, alone; 0: no difference
  std::chrono::milliseconds first_delay{150};  // before the second attempt
  std::chrono::milliseconds max_delay{5000};
  double multiplier = 2;
  double jitter = 0.25;  // a delay is scaled by a factor from [1 - jitter, 1 + jitter)
};

// For streams that are carried on where they broke: outlives a server's restart, about 40 s.
inline constexpr RetryPolicy kStreamRetry{.max_attempts = 12};

// Nothing was heard of the server: there is none, or the connection broke, and it may have acted. A
// server that says so itself gives a reason, and has done nothing.
bool IsLost(const absl::Status& status);

// IsLost, or a server that drains: what comes after either is a restart.
bool IsAway(const absl::Status& status);

// UNAVAILABLE and ABORTED: nothing happened, or it may happen again; but no etag that was wrong
// will be right. Any other code when the server says with RetryInfo that the same request may
// succeed later (a full queue).
bool IsRetryable(const absl::Status& status);

// The pause after `failed_attempts` (>= 1) attempts in a row, the last of which ended with
// `status`; nothing when it is time to give up. `uniform` is a random number from [0, 1). A delay
// that the server names is kept, up to a minute, and never shortened by the jitter.
std::optional<std::chrono::milliseconds> NextDelay(const RetryPolicy& policy,
                                                   const absl::Status& status, int failed_attempts,
                                                   double uniform);

// Calls `attempt` until it succeeds or NextDelay gives up; returns its last status. A requested
// stop ends the pause and the attempts. `channel`: as of PauseUnlessStopped.
absl::Status Retry(const RetryPolicy& policy, grpc::Channel& channel, const std::stop_token& stop,
                   const std::function<absl::Status()>& attempt);

// The pause before another attempt on `channel`; false if the stop came first. Ends early when a
// connection that was not there is made. gRPC's blocking calls read from a connection only while
// one of them waits, so a pause that merely slept would let every TLS handshake, which takes
// several rounds, run into its time limit: this one waits for the channel.
bool PauseUnlessStopped(grpc::Channel& channel, std::chrono::milliseconds duration,
                        const std::stop_token& stop);

// A number from [0, 1), for jitter only. Thread-safe.
double UniformRandom();

}  // namespace seedlm::client
