#include "hardware/hls/block_sums.h"
#include "hardware/hls/gemv.h"
#include "hardware/hls/gemv_ports.h"

namespace seedlm_hls {

static const int kMaxLevelShift = 27;

// The level table as integers: level i is digits[i] * 2^shift[i] * 2^unit. False if the unit cannot
// take it: with kPowersOfTwo, one whose digits differ.
template <bool kPowersOfTwo>
bool integer_levels(const float_bits_t levels[kLevels], ap_uint<24> digits[kLevels],
                    ap_uint<5> shift[kLevels], exponent_t& unit) {
#pragma HLS INLINE
  float_bits_t table[kLevels];
#pragma HLS ARRAY_PARTITION variable = table type = complete
  ap_uint<8> lowest = 255;
LOWEST:
  for (int i = 0; i < kLevels; ++i) {
#pragma HLS PIPELINE II = 1
    table[i] = levels[i];
    const ap_uint<8> field = table[i](30, 23);
    if (field < lowest) lowest = field;
  }
  bool in_range = lowest != 0;
SHIFTS:
  for (int i = 0; i < kLevels; ++i) {
#pragma HLS PIPELINE II = 1
    const ap_uint<8> field = table[i](30, 23);
    const int over = field.to_int() - lowest.to_int();
    if (over > kMaxLevelShift || table[i][31] || field == 255) in_range = false;
    if (kPowersOfTwo && table[i](22, 0) != table[0](22, 0)) in_range = false;
    digits[i] = significand_of(table[i]).digits;
    shift[i] = over > kMaxLevelShift ? kMaxLevelShift : over;
  }
  unit = lowest.to_int() - 150;
  return in_range;
}

// A port word against its 128 activations: the sum over 16 blocks, exact.
template <class A, bool kPowersOfTwo>
ap_int<A::kAccumulatorBits> word_dot(port_t word, const typename A::stored_t line[kChunk],
                                     const ap_uint<24> digits[kLevels],
                                     const ap_uint<5> shift[kLevels], bool& zero_seed) {
#pragma HLS INLINE
  ap_int<A::kAccumulatorBits> total = 0;
LANES:
  for (int lane = 0; lane < kLanes; ++lane) {
#pragma HLS UNROLL
    sum_t sums[kBlock4];
    const word_t block = word(kWordBits * lane + kWordBits - 1, kWordBits * lane);
    if (block_sums<kBlock4, kRank4>(block, sums)) zero_seed = true;
    ap_int<A::kDotBits> dot = 0;
  WEIGHTS:
    for (int c = 0; c < kBlock4; ++c) {
#pragma HLS UNROLL
      dot += A::times(sums[c], line[lane * kBlock4 + c]);
    }
    const level_t level = level_of_word(block);
    ap_int<A::kDotBits + 24> scaled = dot;
    if (!kPowersOfTwo) {
      const ap_int<A::kDotBits + 24> product = dot * digits[level];
#pragma HLS BIND_OP variable = product op = mul impl = dsp latency = 4
      scaled = product;
    }
    total += ap_int<A::kAccumulatorBits>(scaled) << shift[level].to_int();
  }
  return total;
}

template <class A, bool kPowersOfTwo>
void multiply_rows(hls::stream<port_t>& words, typename A::stored_t vector[kMaxChunks][kChunk],
                   hls::stream<ap_uint<4> >& vector_flags, const float_bits_t levels[kLevels],
                   ap_uint<32> rows, ap_uint<16> chunks,
                   hls::stream<ap_int<A::kAccumulatorBits> >& sums, hls::stream<exponent_t>& units,
                   hls::stream<ap_uint<4> >& flags) {
  ap_uint<24> digits[kLevels];
  ap_uint<5> shift[kLevels];
  exponent_t unit;
#pragma HLS ARRAY_PARTITION variable = digits type = complete
#pragma HLS ARRAY_PARTITION variable = shift type = complete
  const bool in_range = integer_levels<kPowersOfTwo>(levels, digits, shift, unit);
  // With powers of two the digits are common to all levels, and the caller's row scales have them.
  units.write(exponent_t(unit + A::kUnit + (kPowersOfTwo ? 23 : 0)));
  bool zero_seed = false;
  RowSum<A::kAccumulatorBits> row;
  ap_uint<16> chunk = 0;
  const ap_uint<32> count = words_of(rows, chunks, 1);
  // One loop over all rows: the pipeline does not drain between two of them.
WORDS:
  for (ap_uint<32> i = 0; i < count; ++i) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 2048 max = 1835008 avg = 131072
    const ap_int<A::kAccumulatorBits> total =
        word_dot<A, kPowersOfTwo>(words.read(), vector[chunk], digits, shift, zero_seed);
    row.add(total, chunk == 0);
    if (chunk == chunks - 1) {
      sums.write(row.value());
      chunk = 0;
    } else {
      ++chunk;
    }
  }
  ap_uint<4> found = vector_flags.read();
  if (zero_seed) found |= ap_uint<4>(kZeroSeed);
  if (!in_range) found |= ap_uint<4>(kBadLevels);
  flags.write(found);
}

// The processes, side by side in the top that this is inlined into. `vector` is a ping-pong buffer
// between two of them, yet the next x is not loaded while this matrix streams: the region is ready
// for a start (ap_ctrl_chain) when every process that reads an argument is, load_words with its
// last word among them. rtl/gemv.sv does load it meanwhile, as its vector has a stream of its own.
template <class A, bool kPowersOfTwo>
void gemv(const port_t* weights, const port_t* activations, const float_bits_t* row_scales,
          float_bits_t* results, const float_bits_t levels[kLevels], ap_uint<32> rows,
          ap_uint<16> chunks, ap_uint<4>* status) {
#pragma HLS INLINE
  typename A::stored_t vector[kMaxChunks][kChunk];
#pragma HLS ARRAY_PARTITION variable = vector dim = 2 type = complete
  hls::stream<ap_uint<4> > vector_flags("vector_flags");
#pragma HLS STREAM variable = vector_flags depth = 2
  hls::stream<port_t> words("words");
#pragma HLS STREAM variable = words depth = 64
  hls::stream<ap_int<A::kAccumulatorBits> > sums("sums");
#pragma HLS STREAM variable = sums depth = 16
  hls::stream<exponent_t> units("units");
#pragma HLS STREAM variable = units depth = 2
  hls::stream<ap_uint<4> > flags("flags");
#pragma HLS STREAM variable = flags depth = 2
  load_vector<A, kChunk>(activations, rows, chunks, vector, vector_flags);
  load_words<1>(weights, rows, chunks, words);
  multiply_rows<A, kPowersOfTwo>(words, vector, vector_flags, levels, rows, chunks, sums, units,
                                 flags);
  finish_rows<A::kAccumulatorBits>(sums, units, flags, row_scales, rows, chunks, results, status);
}

}  // namespace seedlm_hls

using namespace seedlm_hls;

extern "C" {

void seedlm_gemv(const port_t* weights, const port_t* activations, const float_bits_t* row_scales,
                 float_bits_t* results, const float_bits_t levels[16], ap_uint<32> rows,
                 ap_uint<16> chunks, ap_uint<4>* status) {
  SEEDLM_GEMV_PORTS
#pragma HLS INTERFACE mode = s_axilite port = levels
#pragma HLS DATAFLOW
  gemv<Float16Activation, false>(weights, activations, row_scales, results, levels, rows, chunks,
                                 status);
}

void seedlm_gemv_pow2(const port_t* weights, const port_t* activations,
                      const float_bits_t* row_scales, float_bits_t* results,
                      const float_bits_t levels[16], ap_uint<32> rows, ap_uint<16> chunks,
                      ap_uint<4>* status) {
  SEEDLM_GEMV_PORTS
#pragma HLS INTERFACE mode = s_axilite port = levels
#pragma HLS DATAFLOW
  gemv<Float16Activation, true>(weights, activations, row_scales, results, levels, rows, chunks,
                                status);
}

void seedlm_gemv_int8(const port_t* weights, const port_t* activations,
                      const float_bits_t* row_scales, float_bits_t* results,
                      const float_bits_t levels[16], ap_uint<32> rows, ap_uint<16> chunks,
                      ap_uint<4>* status) {
  SEEDLM_GEMV_PORTS
#pragma HLS INTERFACE mode = s_axilite port = levels
#pragma HLS DATAFLOW
  gemv<Int8Activation, false>(weights, activations, row_scales, results, levels, rows, chunks,
                              status);
}

}  // extern "C"
