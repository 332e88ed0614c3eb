// JSON from files, with limits on what it may contain. Private to this room.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace seedlm::format {

// Parses one JSON value. Errors: INVALID_ARGUMENT "REASON" (no file name yet) for text that is not
// UTF-8 JSON, objects and arrays nested deeper than `max_depth`, over a million values, a key that
// is twice in an object.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, int max_depth);

// A value as text: keys sorted; `indent` < 0 puts it on one line.
// Errors: INVALID_ARGUMENT for strings that are not UTF-8.
absl::StatusOr<std::string> JsonToText(const nlohmann::json& value, int indent);

// What an exception of the library says, without the library's own marks, printable.
std::string JsonProblem(const nlohmann::json::exception& error);

}  // namespace seedlm::format
