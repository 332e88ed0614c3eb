// The paper's reference unit: 32 float16 weights a word, 32 multipliers, the same port and the same
// exact accumulation.
#include "hardware/hls/gemv.h"
#include "hardware/hls/gemv_ports.h"

namespace seedlm_hls {

static const int kFp16Accumulator = 96;  // 2^40 * 2^40 * 32,768 columns < 2^95
static const int kWordsPerChunk = kChunk / kHalvesPerPort;

inline void multiply_fp16_rows(
    hls::stream<port_t>& words,
    Float16Activation::stored_t vector[kMaxChunks * kWordsPerChunk][kHalvesPerPort],
    hls::stream<ap_uint<4> >& vector_flags, ap_uint<32> rows, ap_uint<16> chunks,
    hls::stream<ap_int<kFp16Accumulator> >& sums, hls::stream<exponent_t>& units,
    hls::stream<ap_uint<4> >& flags) {
  units.write(2 * Float16Activation::kUnit);
  bool not_finite = false;
  RowSum<kFp16Accumulator> row;
  const ap_uint<16> lines = chunks * kWordsPerChunk;
  ap_uint<16> line = 0;
  const ap_uint<32> count = words_of(rows, chunks, kWordsPerChunk);
WORDS:
  for (ap_uint<32> i = 0; i < count; ++i) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 8192 max = 7340032 avg = 524288
    const port_t word = words.read();
    ap_int<86> total = 0;
  WEIGHTS:
    for (int k = 0; k < kHalvesPerPort; ++k) {
#pragma HLS UNROLL
      const Float16Activation::stored_t w = Float16Activation::store(word, k, not_finite);
      const Float16Activation::stored_t x = vector[line][k];
      const ap_int<15> w_digits = w(14, 0);
      const ap_int<15> x_digits = x(14, 0);
      const ap_int<30> product = w_digits * x_digits;
#pragma HLS BIND_OP variable = product op = mul impl = dsp latency = 2
      const ap_uint<4> coarse = w(17, 15) + x(17, 15);
      total += ap_int<86>(product) << (4 * coarse.to_int());
    }
    row.add(total, line == 0);
    if (line == lines - 1) {
      sums.write(row.value());
      line = 0;
    } else {
      ++line;
    }
  }
  flags.write(vector_flags.read() | ap_uint<4>(not_finite ? kNotFinite : 0));
}

}  // namespace seedlm_hls

using namespace seedlm_hls;

extern "C" void gemv_fp16(const port_t* weights, const port_t* activations,
                          const float_bits_t* row_scales, float_bits_t* results, ap_uint<32> rows,
                          ap_uint<16> chunks, ap_uint<4>* status) {
  SEEDLM_GEMV_PORTS
#pragma HLS DATAFLOW
  Float16Activation::stored_t vector[kMaxChunks * kWordsPerChunk][kHalvesPerPort];
#pragma HLS ARRAY_PARTITION variable = vector dim = 2 type = complete
  hls::stream<ap_uint<4> > vector_flags("vector_flags");
#pragma HLS STREAM variable = vector_flags depth = 2
  hls::stream<port_t> words("words");
#pragma HLS STREAM variable = words depth = 64
  hls::stream<ap_int<kFp16Accumulator> > sums("sums");
#pragma HLS STREAM variable = sums depth = 16
  hls::stream<exponent_t> units("units");
#pragma HLS STREAM variable = units depth = 2
  hls::stream<ap_uint<4> > flags("flags");
#pragma HLS STREAM variable = flags depth = 2
  load_vector<Float16Activation, kHalvesPerPort>(activations, rows, chunks, vector, vector_flags);
  load_words<kWordsPerChunk>(weights, rows, chunks, words);
  multiply_fp16_rows(words, vector, vector_flags, rows, chunks, sums, units, flags);
  finish_rows<kFp16Accumulator>(sums, units, flags, row_scales, rows, chunks, results, status);
}
