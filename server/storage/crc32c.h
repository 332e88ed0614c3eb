// CRC-32C of what comes and goes.
#pragma once

#include "kernels/checksum/crc32c.h"

namespace seedlm::server {

using checksum::Crc32c;
using checksum::ExtendCrc32c;

}  // namespace seedlm::server
