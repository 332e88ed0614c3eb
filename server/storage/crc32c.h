// CRC-32C (Castagnoli, RFC 3720).
#pragma once

#include <cstdint>
#include <string_view>

namespace seedlm::server {

// "123456789" -> 0xE3069283.
uint32_t Crc32c(std::string_view data);

}  // namespace seedlm::server
