// CRC-32C (Castagnoli, RFC 3720).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace seedlm::checksum {

// "123456789" -> 0xE3069283.
uint32_t Crc32c(std::string_view data);

// The sum of what `crc` is the sum of, followed by `bytes`. The sum of nothing is 0.
uint32_t ExtendCrc32c(uint32_t crc, std::span<const std::byte> bytes);

}  // namespace seedlm::checksum
