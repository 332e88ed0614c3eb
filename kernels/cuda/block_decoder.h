// codec::DecodeBlock in few instructions, for a kernel that is to be bound by memory. The same
// bits.
//
// A state of the register is 16 neighbouring bits of one sequence: state_i = b(i), .., b(i + 15),
// lowest first, and taps 0x100B say b(n + 16) = b(n) ^ b(n + 1) ^ b(n + 3) ^ b(n + 12). The last
// tap is 4 bits from the end, so 4 bits at a time can be made of a word; over GF(2) the square of
// that, b(n + 32) = b(n) ^ b(n + 2) ^ b(n + 6) ^ b(n + 24), gives 8 at a time from 32 on. States
// are then shifted out.
//
// A state in the mantissa of a float, 7 bits up below the exponent of 2^16, is 2^16 + state
// exactly. sum_p q_p (2^16 + state_p) - 98304 sum_p q_p is a sum of integers below 2^24, exact in
// any order, and equals the sum_p q_p (state_p - 2^15) of the codec: multiply-adds, of which a
// processor does twice as many as integer operations.
#pragma once

#include <cstdint>

#include "kernels/codec/lfsr.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/device.h"

namespace seedlm::cuda {

// (bits & mask) | rest in one instruction; a compiler makes two of it where both are constants.
__device__ inline uint32_t MaskOr(uint32_t bits, uint32_t mask, uint32_t rest) {
#if defined(SEEDLM_CUDA_EMULATION)
  return (bits & mask) | rest;
#else
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0xEA;" : "=r"(result) : "r"(bits), "r"(mask), "r"(rest));
  return result;
#endif
}

// The first 64 bits of a seed's sequence; those from `kBits` on are not made.
template <int kBits>
struct SeedSequence {
  static_assert(codec::LfsrTaps(16) == 0x100B && kBits > 32 && kBits <= 64);
  uint32_t low, high;

  __device__ explicit SeedSequence(uint32_t seed) : low(seed), high(0) {
    SEEDLM_UNROLL
    for (int n = 16; n < 32; n += 4) {
      low |= ((low ^ low >> 1 ^ low >> 3 ^ low >> 12) << 16) & (0xFu << n);
    }
    SEEDLM_UNROLL
    for (int n = 32; n < kBits; n += 8) {
      const uint32_t from = n == 32 ? low : __funnelshift_r(low, high, n - 32);
      high |= ((from ^ from >> 2 ^ from >> 6 ^ from >> 24) & 0xFF) << (n - 32);
    }
  }

  // 2^16 + state_i.
  __device__ float State(int i) const {
    const int shift = i - 7;  // of the sequence, to the right
    const uint32_t bits = shift < 0         ? low << -shift
                          : shift + 22 < 32 ? low >> shift
                          : shift < 32      ? __funnelshift_r(low, high, shift)
                                            : high >> (shift - 32);
    return codec::FloatFromBits(MaskOr(bits, 0x007FFF80u, 0x47800000u));
  }
};

// The C weights of a word of codes; `level` as codec::UnpackWord takes it.
template <class S>
__device__ inline void DecodeWord(uint32_t word, uint32_t level, const float* scale,
                                  float* weights) {
  constexpr float kMagic = 0x1p23f;  // + an integer: it stands in the lowest bits
  float q[S::kRank], start = 0;
  SEEDLM_UNROLL
  for (int p = 0; p < S::kRank; ++p) {
    const uint32_t nibble = word >> (16 + codec::kCoefficientBits * p);
    q[p] = codec::FloatFromBits((nibble & 15u) ^ 0x4B000008u) - (kMagic + 8);  // (n ^ 8) - 8
    start += q[p];
  }
  start *= -98304.0f;  // 2^16 + 2^15
  const float s = scale[S::profile().level_in_word() ? word >> 28 : level];
  const SeedSequence<16 + S::kBlock * S::kRank> sequence(word & 0xFFFF);
  SEEDLM_UNROLL
  for (int c = 0; c < S::kBlock; ++c) {
    float sum = start;
    SEEDLM_UNROLL
    for (int p = 0; p < S::kRank; ++p) {
      sum = MulAdd(sequence.State(1 + c * S::kRank + p), q[p], sum);
    }
    weights[c] = sum * s;
  }
}

}  // namespace seedlm::cuda
