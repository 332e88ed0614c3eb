// Machine-readable causes on an absl::Status. Rooms that know the cause attach it; rpc turns it
// into google.rpc.ErrorInfo and RetryInfo. Header-only, std and absl, so that every server room may
// use it.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace seedlm::server {

inline constexpr char kReasonPayload[] = "seedlm/reason";
inline constexpr char kRetryPayload[] = "seedlm/retry_ms";
inline constexpr char kDetailPayloadPrefix[] = "seedlm/detail/";

// An S3 server did not answer, or said that it cannot now, as often as it was asked.
inline constexpr char kS3Unavailable[] = "S3_UNAVAILABLE";

// `status` with a reason ("OUTPUT_EXISTS", listed in proto/README.md) and what it is about
// ({"field", "job.source.uri"}, {"tensor", ..}). No effect on an OK status.
inline absl::Status WithReason(
    absl::Status status, std::string_view reason,
    std::initializer_list<std::pair<std::string_view, std::string_view>> details = {}) {
  status.SetPayload(kReasonPayload, absl::Cord(std::string(reason)));
  for (const auto& [key, value] : details) {
    status.SetPayload(kDetailPayloadPrefix + std::string(key), absl::Cord(std::string(value)));
  }
  return status;
}

inline absl::Status WithDetails(absl::Status status,
                                const std::map<std::string, std::string>& details) {
  for (const auto& [key, value] : details) {
    status.SetPayload(kDetailPayloadPrefix + key, absl::Cord(value));
  }
  return status;
}

// `status` with a hint that the same request may succeed after `delay`.
inline absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay) {
  status.SetPayload(kRetryPayload, absl::Cord(absl::StrCat(delay.count())));
  return status;
}

// The attached reason, or "".
inline std::string ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kReasonPayload);
  return payload.has_value() ? std::string(*payload) : std::string();
}

inline std::optional<std::chrono::milliseconds> RetryAfterOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryPayload);
  int64_t milliseconds = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(milliseconds);
}

inline std::map<std::string, std::string> DetailsOf(const absl::Status& status) {
  std::map<std::string, std::string> details;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    if (absl::ConsumePrefix(&url, kDetailPayloadPrefix)) {
      details.emplace(std::string(url), std::string(value));
    }
  });
  return details;
}

}  // namespace seedlm::server
