// The two kinds of activations, and what a unit keeps of them. Products and sums are integers, so
// their order does not matter and a row is rounded once.
#pragma once

#include "hardware/hls/hls_types.h"

namespace seedlm_hls {

// float16: an integer multiple of 2^-24 below 2^40, kept as significand * 2^fine (15 bits, signed)
// and a coarse shift in steps of 4: the shift that is left for after the multiplier is 8 : 1.
struct Float16Activation {
  static const int kPerPort = 32;
  static const int kUnit = -24;    // log2 of the integer 1
  static const int kDotBits = 64;  // of 8 products: 8 * 2^19.6 * 2^40 < 2^63
  static const int kAccumulatorBits =
      128;                       // * 2^24 (level) * 2^27 (its shift) * 2^12 blocks < 2^126
  typedef ap_uint<18> stored_t;  // bits 0-14 the signed significand, 15-17 the coarse shift
  typedef ap_int<36> product_t;
  typedef ap_int<64> shifted_t;

  // not_finite is set for infinities and NaN, which count as 0.
  static stored_t store(port_t beat, int i, bool& not_finite) {
#pragma HLS INLINE
    const half_bits_t half = beat(16 * i + 15, 16 * i);
    const ap_uint<5> field = half(14, 10);
    if (field == 31) {
      not_finite = true;
      return 0;
    }
    ap_uint<11> significand = half(9, 0);
    significand[10] = field != 0;
    const ap_uint<5> shift = field == 0 ? 0 : field.to_int() - 1;
    const ap_uint<14> magnitude = ap_uint<14>(significand) << shift(1, 0).to_int();
    const ap_int<15> value = half[15] ? ap_int<15>(-magnitude) : ap_int<15>(magnitude);
    stored_t stored = 0;
    stored(14, 0) = value(14, 0);
    stored(17, 15) = shift(4, 2);
    return stored;
  }
  static shifted_t times(sum_t sum, stored_t stored) {
#pragma HLS INLINE
    const ap_int<15> value = stored(14, 0);
    const product_t product = sum * value;
#pragma HLS BIND_OP variable = product op = mul impl = dsp latency = 2
    return shifted_t(product) << (4 * stored(17, 15).to_int());
  }
};

struct Int8Activation {
  static const int kPerPort = 64;
  static const int kUnit = 0;
  static const int kDotBits = 32;
  static const int kAccumulatorBits = 96;
  typedef ap_int<8> stored_t;
  typedef ap_int<29> product_t;

  static stored_t store(port_t beat, int i, bool&) {
#pragma HLS INLINE
    return ap_int<8>(beat(8 * i + 7, 8 * i));
  }
  static product_t times(sum_t sum, stored_t stored) {
#pragma HLS INLINE
    const product_t product = sum * stored;
#pragma HLS BIND_OP variable = product op = mul impl = dsp latency = 2
    return product;
  }
};

}  // namespace seedlm_hls
