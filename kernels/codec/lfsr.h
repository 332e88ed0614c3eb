// Fibonacci linear feedback shift register, shifting right. Source: SeedLM (arXiv 2410.10714),
// section 3 and Table 6 for the taps.
#pragma once

#include <cstdint>

#include "kernels/codec/host_device.h"

namespace seedlm::codec {

inline constexpr int kMinLfsrWidth = 2;
inline constexpr int kMaxLfsrWidth = 24;

// The feedback taps of a register of `width` bits, one bit each (bit 0 is the least significant
// state bit). Every width has the full period 2^width - 1. REQUIRES: 2 <= width <= 24.
SEEDLM_HD constexpr uint32_t LfsrTaps(int width) {
  constexpr uint32_t kTaps[kMaxLfsrWidth + 1] = {
      0,      0,        0b11,    0b11,   0b11,   0b101, 0b11,  // 2-6
      0b11,   0x1D,     0b10001, 0b1001, 0b101,                // 7-11
      0x107,  0x27,     0x1007,  0b11,   0x100B,               // 12-16
      0b1001, 0x81,     0x27,    0b1001, 0b101,                // 17-21
      0b11,   0b100001, 0x87,                                  // 22-24
  };
  return kTaps[width];
}

SEEDLM_HD constexpr uint32_t Parity(uint32_t bits) {
#if defined(__GNUC__) && !defined(__CUDACC__)
  return static_cast<uint32_t>(__builtin_parity(bits));  // half as many steps, one after the other
#else
  bits ^= bits >> 16;
  bits ^= bits >> 8;
  bits ^= bits >> 4;
  bits ^= bits >> 2;
  bits ^= bits >> 1;
  return bits & 1u;
#endif
}

// The state that follows `state`. State 0 follows itself and must not be used.
SEEDLM_HD constexpr uint32_t NextState(uint32_t state, int width) {
  return (state >> 1) | (Parity(state & LfsrTaps(width)) << (width - 1));
}

}  // namespace seedlm::codec
