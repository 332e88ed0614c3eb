// Stands in for hls_decoder.cc in a build without AMD's headers.
#include "hardware/sim/hls_decoder.h"

namespace seedlm::hardware {

bool HlsDecoderIsBuilt() { return false; }

int64_t DecodeWithHls(std::span<const uint32_t>, std::span<const uint8_t>,
                      std::span<const float, 16>, HalfFormat, std::span<uint16_t>) {
  return -1;
}

}  // namespace seedlm::hardware
