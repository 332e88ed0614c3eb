// Rounding integers to float32, float16 and bfloat16: to nearest even, subnormals kept, overflow to
// infinity. Written on integers because the tools' float cores flush subnormals, and the codec does
// not.
#pragma once

#include "hardware/hls/hls_types.h"

namespace seedlm_hls {

typedef ap_int<12> exponent_t;

// Shifts left until the top bit is set, by 64, 32, .. 1 where that much is free. Returns how far:
// W - 1 or more for zero. W <= 128.
template <int W>
int normalise(ap_uint<W>& value) {
#pragma HLS INLINE
  int shift = 0;
STEPS:
  for (int k = 6; k >= 0; --k) {
#pragma HLS UNROLL
    const int step = 1 << k;
    if (step < W && (value >> (W - step)) == 0) {
      value <<= step;
      shift += step;
    }
  }
  return shift;
}

// magnitude * 2^exponent as the low 31 bits of a float32. 26 <= W <= 128.
template <int W>
ap_uint<31> round_to_float32(ap_uint<W> magnitude, exponent_t exponent) {
#pragma HLS INLINE
  if (magnitude == 0) return 0;
  ap_uint<W> normal = magnitude;
  const int lead = W - 1 - normalise<W>(normal);
  const int biased = lead + exponent.to_int() + 127;  // the exponent field, if it is normal
  bool sticky = false;
  if (biased < 1) {  // subnormal: the unit is 2^-149 whatever the value
    const int excess = 1 - biased;
    if (excess >= W) {
      sticky = true;
      normal = 0;
    } else {
      const ap_uint<W> kept = normal >> excess;
      sticky = (kept << excess) != normal;
      normal = kept;
    }
  }
  const ap_uint<24> significand = normal(W - 1, W - 24);
  const bool guard = normal[W - 25];
  sticky = sticky || (normal(W - 26, 0) != 0);
  const bool up = guard && (sticky || significand[0]);
  if (biased >= 255) return 0x7F800000;
  // The hidden bit adds one to the exponent field, a carry of the rounding another.
  const ap_uint<31> field = ap_uint<31>(biased > 1 ? biased - 1 : 0) << 23;
  return field + significand + (up ? 1 : 0);
}

// The 24-bit significand of a float32, and the exponent of its unit: value = significand * 2^unit.
struct Significand {
  ap_uint<24> digits;
  exponent_t unit;
};

inline Significand significand_of(float_bits_t bits) {
#pragma HLS INLINE
  const ap_uint<8> field = bits(30, 23);
  Significand result;
  result.digits = bits(22, 0);
  if (field != 0) result.digits[23] = 1;
  result.unit = exponent_t(field == 0 ? 1 : field.to_int()) - 150;
  return result;
}

// A float32 that is not NaN, rounded once more.
inline half_bits_t to_bfloat16(float_bits_t value) {
#pragma HLS INLINE
  const ap_uint<33> rounded = ap_uint<33>(value) + 0x7FFF + value[16];
  return rounded(31, 16);
}

inline half_bits_t to_float16(float_bits_t value) {
#pragma HLS INLINE
  const ap_uint<31> magnitude = value(30, 0);
  const int field = magnitude(30, 23).to_int();
  half_bits_t result = 0;
  if (magnitude >= 0x477FF000) {  // 65,520 and more
    result = 0x7C00;
  } else if (field >= 113) {
    const ap_uint<31> rounded = magnitude + 0xFFF + magnitude[13];
    result = ap_uint<15>((rounded - 0x38000000) >> 13);
  } else if (field >= 101) {  // subnormal, units of 2^-24; below 2^-25 nothing is left
    ap_uint<24> significand = magnitude(22, 0);
    significand[23] = 1;
    const int drop = 126 - field;  // 14 .. 25
    const ap_uint<26> doubled = ap_uint<26>(significand) << 1;
    const ap_uint<26> kept = doubled >> drop;  // one bit below the unit
    const bool sticky = (kept << drop) != doubled;
    result = ap_uint<15>((kept >> 1) + ((kept[0] && (sticky || kept[1])) ? 1 : 0));
  }
  result[15] = value[31];
  return result;
}

// A weight: float32(sum) * scale, one multiplication rounded to float32, one rounding to the
// format.
inline half_bits_t weight_of(sum_t sum, float_bits_t scale, HalfFormat format) {
#pragma HLS INLINE
  const bool negative = sum < 0;
  const ap_uint<20> magnitude = negative ? sum_t(-sum) : sum;
  const Significand level = significand_of(scale);
  const ap_uint<44> product = magnitude * level.digits;
#pragma HLS BIND_OP variable = product op = mul impl = dsp latency = 3
  float_bits_t value = round_to_float32<44>(product, level.unit);
  value[31] = negative;
  return format == kBfloat16 ? to_bfloat16(value) : to_float16(value);
}

}  // namespace seedlm_hls
