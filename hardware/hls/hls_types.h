// Widths and types that all of hls/ shares. C++14, AMD's arbitrary-precision types only.
#pragma once

// Nothing here is wider than the 512-bit port.
#include <ap_int.h>
#include <hls_stream.h>

namespace seedlm_hls {

static const int kPortBits = 512;                         // one word of the memory port
static const int kSeedBits = 16;                          // width of the register
static const int kCoefficientBits = 4;                    // two's complement
static const int kLevels = 16;                            // entries of a tensor's level table
static const int kWordBits = 32;                          // seed and coefficients of one block
static const int kLanes = kPortBits / kWordBits;          // blocks a cycle: 16
static const int kSumBits = 21;                           // |sum| < 2^20 for every profile
static const int kHalfBits = 16;                          // float16 or bfloat16
static const int kHalvesPerPort = kPortBits / kHalfBits;  // 32

typedef ap_uint<kPortBits> port_t;
typedef ap_uint<kWordBits> word_t;  // bits 0-15 seed, 16+4p.. q_p, 28-31 level where P = 3
typedef ap_uint<4> level_t;
typedef ap_int<kSumBits> sum_t;
typedef ap_uint<32> float_bits_t;  // an IEEE float32 as bits
typedef ap_uint<16> half_bits_t;   // a float16 or bfloat16 as bits

// The shapes of the block codes: C weights from P coefficients.
static const int kBlock4 = 8;
static const int kRank4 = 3;  // 4bit: the level is in the word
static const int kBlock3 = 12;
static const int kRank3 = 4;  // 3bit: levels lie in a plane of their own

// What decoded weights are rounded to.
enum HalfFormat { kFloat16 = 0, kBfloat16 = 1 };

}  // namespace seedlm_hls
