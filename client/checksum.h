// The two checksums of the transfer protocol.
#pragma once

#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"

namespace seedlm::client {

using checksum::Crc32c;
using checksum::Sha256;
using checksum::Sha256OfFile;

}  // namespace seedlm::client
