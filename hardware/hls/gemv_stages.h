// The processes that both matrix-vector units share: loaders, and the end of a row.
#pragma once

#include "hardware/hls/activation.h"
#include "hardware/hls/rounding.h"

namespace seedlm_hls {

static const int kChunk = 128;       // activations that one word of 16 4bit blocks meets
static const int kMaxChunks = 256;   // columns <= 32,768
static const int kMaxRows = 262144;  // for the depths of C/RTL co-simulation and trip counts only

// What a unit tells of its input; bits of `status`.
enum Status {
  kZeroSeed = 1,       // a block is no code; it counts as the sums of an all-zero sequence
  kNotFinite = 2,      // an activation or an FP16 weight is infinite or NaN; it counts as 0
  kLevelsTooWide = 4,  // levels over more than 27 octaves, or one that is not a normal float32
  kTooLarge = 8,       // more than kMaxChunks chunks a row: nothing was computed
};

template <class A>
void load_vector(const port_t* activations, ap_uint<16> chunks,
                 typename A::stored_t vector[kMaxChunks][kChunk], hls::stream<ap_uint<4> >& flags) {
  const int kBeats = kChunk / A::kPerPort;  // a chunk
  bool not_finite = false;
CHUNKS:
  for (ap_uint<16> chunk = 0; chunk < chunks; ++chunk) {
#pragma HLS LOOP_TRIPCOUNT min = 4 max = 256 avg = 32
  BEATS:
    for (int beat = 0; beat < kBeats; ++beat) {
#pragma HLS PIPELINE II = 1
      const port_t word = activations[chunk * kBeats + beat];
    VALUES:
      for (int i = 0; i < A::kPerPort; ++i) {
#pragma HLS UNROLL
        vector[chunk][beat * A::kPerPort + i] = A::store(word, i, not_finite);
      }
    }
  }
  flags.write(not_finite ? kNotFinite : 0);
}

inline void load_words(const port_t* weights, ap_uint<32> count, hls::stream<port_t>& words) {
WORDS:
  for (ap_uint<32> i = 0; i < count; ++i) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 2048 max = 1835008 avg = 131072
    words.write(weights[i]);
  }
}

// y_r = float32(sum_r) * row_scale_r * 2^unit: the sum is exact, is rounded to a float32, and is
// multiplied once.
template <int W>
void finish_rows(hls::stream<ap_int<W> >& sums, hls::stream<exponent_t>& units,
                 const float_bits_t* row_scales, ap_uint<32> rows, float_bits_t* results) {
  const exponent_t unit = units.read();
ROWS:
  for (ap_uint<32> row = 0; row < rows; ++row) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 512 max = 28672 avg = 4096
    const ap_int<W> sum = sums.read();
    const bool negative = sum < 0;
    const ap_uint<W> magnitude = negative ? ap_uint<W>(-sum) : ap_uint<W>(sum);
    const float_bits_t rounded = round_to_float32<W>(magnitude, 0);
    const Significand left = significand_of(rounded);
    const Significand right = significand_of(row_scales[row]);
    const ap_uint<48> product = left.digits * right.digits;
#pragma HLS BIND_OP variable = product op = mul impl = dsp latency = 3
    float_bits_t result = round_to_float32<48>(product, exponent_t(left.unit + right.unit + unit));
    result[31] = negative ^ row_scales[row][31];
    results[row] = result;
  }
}

}  // namespace seedlm_hls
