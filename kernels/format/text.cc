#include "kernels/format/text.h"

#include <cstddef>
#include <cstdint>

#include "kernels/format/utf8.h"

namespace seedlm::format {
namespace {

// C0, DEL and C1 controls, line and paragraph separators, and what changes the direction of text: a
// terminal would obey them.
bool IsControl(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x200E || code == 0x200F ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string Printable(std::string_view text, size_t longest) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= longest) return out + "..";
    const Utf8Character character = FirstCharacter(text.substr(i));
    if (character.length == 0 || IsControl(character.code)) {
      out += Cat("\\x", absl::Hex(static_cast<uint8_t>(text[i]), absl::kZeroPad2));
      ++i;
    } else {
      out.append(text.substr(i, character.length));
      i += character.length;
    }
  }
  return out;
}

}  // namespace seedlm::format
