#include "kernels/checksum/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace seedlm::checksum {

uint32_t Crc32c(std::string_view data) { return ExtendCrc32c(0, std::as_bytes(std::span(data))); }

uint32_t ExtendCrc32c(uint32_t crc, std::span<const std::byte> bytes) {
  // The library takes a mutable pointer that it only reads, an int length and the running value
  // without the inversions of the standard.
  constexpr size_t kPiece = size_t{1} << 30;
  crc = ~crc;
  while (!bytes.empty()) {
    const size_t length = std::min(bytes.size(), kPiece);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
    crc = crc32_iscsi(data, static_cast<int>(length), crc);
    bytes = bytes.subspan(length);
  }
  return ~crc;
}

}  // namespace seedlm::checksum
