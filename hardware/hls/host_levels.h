// What the host does before it starts a unit whose levels are shifts: seedlm_gemv_pow2, or
// rtl/gemv.sv with POW2. Plain C++14, for the host: neither synthesised nor needing AMD's headers.
//
// With --scale paper and pow2 the levels of a tensor are f * 2^k_i with one significand f, 1 <= f
// < 2. The unit multiplies by 2^k_i alone, and f goes into the row scales: exactly where these
// are 1.0, rounded once where they are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace seedlm_hls {

// levels: a tensor's 16 scales, the bits of float32. False, and nothing is changed, if they have no
// significand in common: the unit then is none for this tensor, and says so itself
// (kBadLevels; error bit 2 in RTL).
inline bool common_significand(const uint32_t levels[16], float& significand) {
  const uint32_t kFraction = 0x7FFFFF, kOne = 0x3F800000;
  for (int i = 1; i < 16; ++i) {
    if (((levels[i] ^ levels[0]) & kFraction) != 0) return false;
  }
  const uint32_t bits = kOne | (levels[0] & kFraction);
  std::memcpy(&significand, &bits, sizeof significand);
  return true;
}

// row_scales: one a row, 1.0 where the layer has none.
inline void fold_significand(float significand, float* row_scales, size_t rows) {
  for (size_t row = 0; row < rows; ++row) row_scales[row] *= significand;
}

}  // namespace seedlm_hls
