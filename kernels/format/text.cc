#include "kernels/format/text.h"

#include <cstddef>
#include <cstdint>

namespace seedlm::format {
namespace {

uint8_t At(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// C1 controls, line and paragraph separators, and what changes the direction of text: a terminal
// would obey them.
bool IsControl(uint32_t code) {
  return code < 0xA0 || code == 0x200E || code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

// Bytes of the UTF-8 character at `i`, or 0 if there is none that may be shown as it is.
size_t ShowableLength(std::string_view text, size_t i) {
  const uint8_t first = At(text, i);
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || i + length > text.size()) return 0;
  uint32_t code = first & (0x7F >> length);
  for (size_t k = 1; k < length; ++k) {
    if ((At(text, i + k) & 0xC0) != 0x80) return 0;
    code = code << 6 | (At(text, i + k) & 0x3F);
  }
  constexpr uint32_t kFirstOfLength[] = {0, 0, 0x80, 0x800, 0x10000};  // less: an overlong form
  const bool is_character =
      code >= kFirstOfLength[length] && code <= 0x10FFFF && !(code >= 0xD800 && code <= 0xDFFF);
  return is_character && !IsControl(code) ? length : 0;
}

}  // namespace

std::string Printable(std::string_view text, size_t longest) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= longest) return out + "..";
    const size_t length = ShowableLength(text, i);
    if (length == 0) {
      out += Cat("\\x", absl::Hex(At(text, i), absl::kZeroPad2));
      ++i;
    } else {
      out.append(text.substr(i, length));
      i += length;
    }
  }
  return out;
}

}  // namespace seedlm::format
