// What an error is about, in words for programs: payloads of the Status, beside its message. The
// service passes them on (proto/README.md lists the keys).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "kernels/format/text.h"

namespace seedlm::format {

// Payload "seedlm/detail/KEY" holds the value of KEY.
inline constexpr std::string_view kDetailPayloadPrefix = "seedlm/detail/";

// `status` with one more detail; the one that is nearer to the fault, and so was there first,
// stays. No effect on an OK status.
inline absl::Status About(absl::Status status, std::string_view key, std::string_view value) {
  const std::string url = Cat(kDetailPayloadPrefix, key);
  if (!status.GetPayload(url).has_value()) status.SetPayload(url, absl::Cord(AbslPiece(value)));
  return status;
}

// The byte of the file, from its start, at which it is wrong.
inline absl::Status AtOffset(absl::Status status, uint64_t offset) {
  return About(std::move(status), "offset", Cat(offset));
}

// `message` in place of the one of `status`, which keeps its code and all payloads.
inline absl::Status Reworded(const absl::Status& status, std::string_view message) {
  absl::Status reworded(status.code(), AbslPiece(message));
  status.ForEachPayload(
      [&](const auto& url, const absl::Cord& value) { reworded.SetPayload(url, value); });
  return reworded;
}

}  // namespace seedlm::format
