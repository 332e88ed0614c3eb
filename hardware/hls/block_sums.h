// One lane: the 32-bit word of a block becomes C integers, the weights before their level.
//
//   S_c = sum_p q_p (V[c][p] - 2^15),   V[c][p] = state number cP + p + 1 after the seed
//
// The states of the register are windows of 16 bits on one bit sequence b: b_0..b_15 is the seed
// (bit 0 first), b_(n+16) = b_n ^ b_(n+1) ^ b_(n+3) ^ b_(n+12), and state k is b_k..b_(k+15). So
//
//   S_c = sum_j 2^j t_(Pc+1+j) - 2^15 sum_p q_p,   t_i = sum_p q_p b_(i+p),   j = 0..15:
//
// every t_i is one of the 2^P sums of a subset of the coefficients, made once a block and shared by
// all the windows that cover it. No multiplier is left (distributed arithmetic).
#pragma once

#include "hardware/hls/hls_types.h"

namespace seedlm_hls {

// Fills sums[0..C-1]; returns true for a zero seed, which is no code: the register would lock, and
// the sums are those of an all-zero sequence. 3 <= P <= 4.
template <int C, int P>
bool block_sums(word_t word, sum_t sums[C]) {
#pragma HLS INLINE
#pragma HLS ARRAY_PARTITION variable = sums type = complete
  const int kBits = kSeedBits + C * P;    // b_0 .. the last bit of the last state
  const int kDigits = kBits - P + 1;      // t_1 .. that a state needs
  const int kSubsets = 1 << P;            // of the coefficients
  const int kDigitBits = P == 3 ? 6 : 7;  // P coefficients of -8..7, and minus their sum

  ap_uint<kBits> bits = 0;
  bits(kSeedBits - 1, 0) = word(kSeedBits - 1, 0);
SEQUENCE:
  for (int n = 0; n + kSeedBits < kBits; ++n) {
#pragma HLS UNROLL
    bits[n + kSeedBits] = bits[n] ^ bits[n + 1] ^ bits[n + 3] ^ bits[n + 12];
  }

  ap_int<kDigitBits> subset[kSubsets];
#pragma HLS ARRAY_PARTITION variable = subset type = complete
SUBSETS:
  for (int s = 0; s < kSubsets; ++s) {
#pragma HLS UNROLL
    ap_int<kDigitBits> sum = 0;
  COEFFICIENTS:
    for (int p = 0; p < P; ++p) {
#pragma HLS UNROLL
      const ap_int<kCoefficientBits> q =
          word(kSeedBits + kCoefficientBits * p + kCoefficientBits - 1,
               kSeedBits + kCoefficientBits * p);
      if ((s >> p) & 1) sum += q;
    }
    subset[s] = sum;
  }

  ap_int<kDigitBits> digit[kDigits];
#pragma HLS ARRAY_PARTITION variable = digit type = complete
DIGITS:
  for (int i = 1; i < kDigits; ++i) {
#pragma HLS UNROLL
    const ap_uint<P> window = bits(i + P - 1, i);
    digit[i] = subset[window];
  }

WEIGHTS:
  for (int c = 0; c < C; ++c) {
#pragma HLS UNROLL
    // The digit of weight 2^15 takes the centre with it.
    sum_t sum = sum_t(digit[P * c + kSeedBits] - subset[kSubsets - 1]) << (kSeedBits - 1);
  PLACES:
    for (int j = 0; j < kSeedBits - 1; ++j) {
#pragma HLS UNROLL
      sum += sum_t(digit[P * c + 1 + j]) << j;
    }
    sums[c] = sum;
  }
  return word(kSeedBits - 1, 0) == 0;
}

// The level that rides in the word of a P = 3 profile.
inline level_t level_of_word(word_t word) {
#pragma HLS INLINE
  return word(31, 28);
}

}  // namespace seedlm_hls
