#include "kernels/format/text.h"

#include <cstddef>
#include <cstdint>

namespace seedlm::format {
namespace {

constexpr size_t kLongest = 256;

uint8_t At(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// Bytes of the UTF-8 character at `i`, or 0 if there is none that may be shown as it is.
size_t ShowableLength(std::string_view text, size_t i) {
  const uint8_t first = At(text, i);
  if (first < 0x80) return first >= 0x20 && first != 0x7F ? 1 : 0;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || i + length > text.size()) return 0;
  for (size_t k = 1; k < length; ++k) {
    if ((At(text, i + k) & 0xC0) != 0x80) return 0;
  }
  const bool is_c1 = first == 0xC2 && At(text, i + 1) < 0xA0;
  return is_c1 ? 0 : length;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= kLongest) return out + "..";
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
