// UTF-8, character by character (RFC 3629).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace seedlm::format {

struct Utf8Character {
  uint32_t code = 0;
  size_t length = 0;  // bytes; 0: not UTF-8
};

// The character that `text` starts with: no overlong form, no surrogate, at most U+10FFFF.
// REQUIRES: text is not empty.
inline Utf8Character FirstCharacter(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {};
  uint32_t code = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // less: an overlong form
  if (code < kLeast[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {};
  return {code, length};
}

}  // namespace seedlm::format
