// Text of messages, for this room and those that report its errors.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace seedlm::format {

// `text` with control characters (C0, DEL, C1, changes of direction) and bytes that are not UTF-8
// written as \xNN, and cut after `longest` bytes. Names and paths come from files: a terminal must
// not obey them.
inline constexpr size_t kLongestPrintable = 256;
std::string Printable(std::string_view text, size_t longest = kLongestPrintable);

// absl::string_view is std::string_view or, as Debian builds it, a type of its own.
template <typename T>
const T& AbslPiece(const T& value) {
  return value;
}
inline absl::string_view AbslPiece(std::string_view text) { return {text.data(), text.size()}; }

// absl::StrCat that takes std::string_view too.
template <typename... Pieces>
std::string Cat(const Pieces&... pieces) {
  return absl::StrCat(AbslPiece(pieces)...);
}

}  // namespace seedlm::format
