// SHA-256 of files that are kept.
#pragma once

#include "kernels/checksum/sha256.h"

namespace seedlm::server {

using checksum::BytesDone;
using checksum::Sha256;
using checksum::Sha256OfFile;

}  // namespace seedlm::server
