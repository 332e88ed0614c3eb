#pragma once

#include <span>
#include <string>

#include "kernels/checksum/sha256.h"

namespace seedlm::server {

inline std::string Sha256Of(const std::string& text) {
  checksum::Sha256 sum;
  sum.Update(std::as_bytes(std::span(text)));
  return sum.HexDigest();
}

}  // namespace seedlm::server
