// The processes that both matrix-vector units share: loaders, and the end of a row.
#pragma once

#include "hardware/hls/activation.h"
#include "hardware/hls/rounding.h"

namespace seedlm_hls {

static const int kChunk = 128;        // activations that one word of 16 4bit blocks meets
static const int kMaxChunks = 256;    // columns <= 32,768
static const int kMaxRows = 1 << 20;  // as the RTL's command has them

// What a unit tells of its input; bits of `status`.
enum Status {
  kZeroSeed = 1,   // a block is no code; it counts as the sums of an all-zero sequence
  kNotFinite = 2,  // an activation or an FP16 weight, which counts as 0, or a row scale
  kBadLevels = 4,  // levels that the unit cannot take (gemv.h): the results mean nothing
  kBadShape = 8,   // rows > kMaxRows, no chunks, or > kMaxChunks of them: nothing was computed
};

// Each process asks by itself, so that a dataflow region holds nothing but calls.
inline bool good_shape(ap_uint<32> rows, ap_uint<16> chunks) {
#pragma HLS INLINE
  return rows <= kMaxRows && chunks != 0 && chunks <= kMaxChunks;
}

// Port words of the whole matrix: below 2^31.
inline ap_uint<32> words_of(ap_uint<32> rows, ap_uint<16> chunks, int words_per_chunk) {
#pragma HLS INLINE
  if (!good_shape(rows, chunks)) return 0;
  return rows * chunks * words_per_chunk;
}

// A row's exact sum of at most 1,024 terms, in four limbs without a carry from one to the next:
// what must be done before the next word comes is an addition of a quarter of the width. The value
// is taken modulo 2^W, so a negative term counts by its two's complement. W a multiple of 4.
template <int W>
class RowSum {
 public:
  RowSum() {
#pragma HLS ARRAY_PARTITION variable = limbs_ type = complete
  }
  void add(ap_int<W> term, bool first) {
#pragma HLS INLINE
  LIMBS:
    for (int i = 0; i < kLimbs; ++i) {
#pragma HLS UNROLL
      const ap_uint<kBits> part = term(kBits * i + kBits - 1, kBits * i);
      limbs_[i] = first ? limb_t(part) : limb_t(limbs_[i] + part);
    }
  }
  ap_int<W> value() const {
#pragma HLS INLINE
    ap_uint<W> sum = 0;
  LIMBS:
    for (int i = 0; i < kLimbs; ++i) {
#pragma HLS UNROLL
      sum += ap_uint<W>(limbs_[i]) << (kBits * i);
    }
    return ap_int<W>(sum);
  }

 private:
  static const int kLimbs = 4;
  static const int kBits = W / kLimbs;
  static const int kSpare = 10;  // bits for 1,024 terms
  typedef ap_uint<kBits + kSpare> limb_t;

  limb_t limbs_[kLimbs];
};

// Fills lines of kLine activations, each from one or more beats. Every index into the partitioned
// dimension is a constant: one write a memory.
template <class A, int kLine>
void load_vector(const port_t* activations, ap_uint<32> rows, ap_uint<16> chunks,
                 typename A::stored_t vector[kMaxChunks * kChunk / kLine][kLine],
                 hls::stream<ap_uint<4> >& flags) {
  const int kBeatsPerLine = kLine / A::kPerPort;
  const bool good = good_shape(rows, chunks);
  const ap_uint<16> beats = good ? chunks.to_int() * (kChunk / A::kPerPort) : 0;
  bool not_finite = false;
BEATS:
  for (ap_uint<16> i = 0; i < beats; ++i) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 16 max = 1024 avg = 128
    const port_t beat = activations[i];
    typename A::stored_t values[A::kPerPort];
#pragma HLS ARRAY_PARTITION variable = values type = complete
  VALUES:
    for (int k = 0; k < A::kPerPort; ++k) {
#pragma HLS UNROLL
      values[k] = A::store(beat, k, not_finite);
    }
  SLICES:
    for (int slice = 0; slice < kBeatsPerLine; ++slice) {
#pragma HLS UNROLL
      if (i % kBeatsPerLine == slice) {
      STORES:
        for (int k = 0; k < A::kPerPort; ++k) {
#pragma HLS UNROLL
          vector[i / kBeatsPerLine][slice * A::kPerPort + k] = values[k];
        }
      }
    }
  }
  ap_uint<4> found = 0;
  if (not_finite) found |= ap_uint<4>(kNotFinite);
  if (!good) found |= ap_uint<4>(kBadShape);
  flags.write(found);
}

template <int kWordsPerChunk>
void load_words(const port_t* weights, ap_uint<32> rows, ap_uint<16> chunks,
                hls::stream<port_t>& words) {
  const ap_uint<32> count = words_of(rows, chunks, kWordsPerChunk);
WORDS:
  for (ap_uint<32> i = 0; i < count; ++i) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 2048 max = 1835008 avg = 131072
    words.write(weights[i]);
  }
}

// y_r = float32(sum_r) * row_scale_r * 2^unit: the sum is exact, is rounded to a float32, and is
// multiplied once. `flags` comes after the last sum; what is found here goes with it into the
// status.
template <int W>
void finish_rows(hls::stream<ap_int<W> >& sums, hls::stream<exponent_t>& units,
                 hls::stream<ap_uint<4> >& flags, const float_bits_t* row_scales, ap_uint<32> rows,
                 ap_uint<16> chunks, float_bits_t* results, ap_uint<4>* status) {
  const exponent_t unit = units.read();
  const ap_uint<32> count = good_shape(rows, chunks) ? rows : ap_uint<32>(0);
  bool not_finite = false;
ROWS:
  for (ap_uint<32> row = 0; row < count; ++row) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 512 max = 28672 avg = 4096
    const ap_int<W> sum = sums.read();
    const bool negative = sum < 0;
    const ap_uint<W> magnitude = negative ? ap_uint<W>(-sum) : ap_uint<W>(sum);
    const float_bits_t rounded = round_to_float32<W>(magnitude, 0);
    const Significand left = significand_of(rounded);
    const float_bits_t scale = row_scales[row];
    if (scale(30, 23) == 255) not_finite = true;
    const Significand right = significand_of(scale);
    const ap_uint<48> product = left.digits * right.digits;
#pragma HLS BIND_OP variable = product op = mul impl = dsp latency = 3
    float_bits_t result = round_to_float32<48>(product, exponent_t(left.unit + right.unit + unit));
    result[31] = negative ^ scale[31];
    results[row] = result;
  }
  *status = flags.read() | ap_uint<4>(not_finite ? kNotFinite : 0);
}

}  // namespace seedlm_hls
