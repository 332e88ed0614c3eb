// INVALID_ARGUMENT that says which field of the request is wrong.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/errors/reason.h"

namespace seedlm::server {

// "FIELD: WHY", reason FIELD_INVALID, detail "field".
inline absl::Status InvalidField(std::string_view field, std::string_view why) {
  return WithReason(absl::InvalidArgumentError(std::string(field) + ": " + std::string(why)),
                    "FIELD_INVALID", {{"field", field}});
}

// A value as a message shows it: at most 120 bytes of it, so that an error stays one line.
inline std::string Shown(std::string_view value) {
  constexpr size_t kLimit = 120;
  if (value.size() <= kLimit) return std::string(value);
  return std::string(value.substr(0, kLimit)) + "...";
}

}  // namespace seedlm::server
