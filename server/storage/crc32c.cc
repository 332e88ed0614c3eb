#include "server/storage/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace seedlm::server {

uint32_t Crc32c(std::string_view data) {
  // The library takes a mutable pointer that it only reads, an int length and the running value
  // without the inversions of the standard.
  constexpr size_t kPiece = size_t{1} << 30;
  uint32_t crc = 0xFFFFFFFFu;
  while (!data.empty()) {
    const size_t length = std::min(data.size(), kPiece);
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(data.data()));
    crc = crc32_iscsi(bytes, static_cast<int>(length), crc);
    data.remove_prefix(length);
  }
  return ~crc;
}

}  // namespace seedlm::server
