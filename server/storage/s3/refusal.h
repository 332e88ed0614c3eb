// What an answer that is no success means: pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/storage/s3/answers.h"
#include "server/storage/s3/options.h"
#include "server/storage/s3/transport.h"

namespace seedlm::server::s3 {

// Whether the same request may succeed later: 429, 500, 502, 503, 504, and RequestTimeout, which S3
// spells 400 though it is the connection's fault. No other 4xx.
bool IsPassing(int http_status, const ErrorAnswer& error);

// "Retry-After: SECONDS" of an answer; none if there is none, or a date.
std::optional<std::chrono::milliseconds> RetryAfterOf(const HttpAnswer& answer);

// Where the keys that are used came from: where to look when they are refused.
enum class KeySource : uint8_t { kEnvironment, kCredentialsFile, kSharedFile };
inline KeySource KeySourceOf(const Options& options) {
  if (!options.credentials_file.empty()) return KeySource::kCredentialsFile;
  return options.shared_credentials_file.empty() ? KeySource::kEnvironment : KeySource::kSharedFile;
}

// The status of a refusal, see Client. `what`: the object or bucket; `endpoint`: who refused.
// REQUIRES: the answer is a refusal.
absl::Status ToStatus(const HttpAnswer& answer, const ErrorAnswer& error, std::string_view what,
                      std::string_view endpoint, KeySource keys);

}  // namespace seedlm::server::s3
