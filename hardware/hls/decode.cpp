#include "hardware/hls/decode.h"

namespace seedlm_hls {

// One port word of 16 blocks to 16 C weights on 16 C / 32 outputs. Returns its zero seeds.
template <int C, int P>
ap_uint<5> decode_word(port_t word, const level_t levels[kLanes], const float_bits_t scale[kLevels],
                       HalfFormat format,
                       hls::stream<port_t> weights[kLanes * C / kHalvesPerPort]) {
#pragma HLS INLINE
  const int kOutputs = kLanes * C / kHalvesPerPort;
  port_t out[kOutputs];
#pragma HLS ARRAY_PARTITION variable = out type = complete
  ap_uint<5> zero_seeds = 0;
LANES:
  for (int lane = 0; lane < kLanes; ++lane) {
#pragma HLS UNROLL
    sum_t sums[C];
    const word_t block = word(kWordBits * lane + kWordBits - 1, kWordBits * lane);
    if (block_sums<C, P>(block, sums)) ++zero_seeds;
  WEIGHTS:
    for (int c = 0; c < C; ++c) {
#pragma HLS UNROLL
      const int index = lane * C + c;
      const int low = kHalfBits * (index % kHalvesPerPort);
      out[index / kHalvesPerPort](low + kHalfBits - 1, low) =
          weight_of(sums[c], scale[levels[lane]], format);
    }
  }
OUTPUTS:
  for (int q = 0; q < kOutputs; ++q) {
#pragma HLS UNROLL
    weights[q].write(out[q]);
  }
  return zero_seeds;
}

}  // namespace seedlm_hls

using namespace seedlm_hls;

extern "C" {

void block_decoder(word_t word, const float_bits_t scale[16], ap_uint<1> format,
                   half_bits_t weights[8], ap_uint<1>* zero_seed) {
#pragma HLS INTERFACE mode = ap_none port = word
#pragma HLS INTERFACE mode = ap_none port = format
#pragma HLS INTERFACE mode = ap_vld port = zero_seed
#pragma HLS ARRAY_PARTITION variable = scale type = complete
#pragma HLS ARRAY_PARTITION variable = weights type = complete
#pragma HLS PIPELINE II = 1
  sum_t sums[kBlock4];
  *zero_seed = block_sums<kBlock4, kRank4>(word, sums);
WEIGHTS:
  for (int c = 0; c < kBlock4; ++c) {
#pragma HLS UNROLL
    weights[c] = weight_of(sums[c], scale[level_of_word(word)], HalfFormat(format.to_int()));
  }
}

void decode_stream(hls::stream<port_t>& words, hls::stream<port_t> weights[4],
                   const float_bits_t scale[16], ap_uint<1> format, ap_uint<32> count,
                   ap_uint<32>* zero_seeds) {
#pragma HLS INTERFACE mode = axis port = words
#pragma HLS INTERFACE mode = axis port = weights
#pragma HLS INTERFACE mode = s_axilite port = scale
#pragma HLS INTERFACE mode = s_axilite port = format
#pragma HLS INTERFACE mode = s_axilite port = count
#pragma HLS INTERFACE mode = s_axilite port = zero_seeds
#pragma HLS INTERFACE mode = s_axilite port = return
  float_bits_t table[kLevels];
#pragma HLS ARRAY_PARTITION variable = table type = complete
TABLE:
  for (int i = 0; i < kLevels; ++i) {
#pragma HLS PIPELINE II = 1
    table[i] = scale[i];
  }
  ap_uint<32> zeros = 0;
WORDS:
  for (ap_uint<32> i = 0; i < count; ++i) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 32 max = 1835008 avg = 131072
    const port_t word = words.read();
    level_t levels[kLanes];
#pragma HLS ARRAY_PARTITION variable = levels type = complete
  LEVELS:
    for (int lane = 0; lane < kLanes; ++lane) {
#pragma HLS UNROLL
      levels[lane] = level_of_word(word(kWordBits * lane + kWordBits - 1, kWordBits * lane));
    }
    zeros +=
        decode_word<kBlock4, kRank4>(word, levels, table, HalfFormat(format.to_int()), weights);
  }
  *zero_seeds = zeros;
}

void decode_stream_3bit(hls::stream<port_t>& words, hls::stream<port_t>& level_plane,
                        hls::stream<port_t> weights[6], const float_bits_t scale[16],
                        ap_uint<1> format, ap_uint<32> count, ap_uint<32>* zero_seeds) {
#pragma HLS INTERFACE mode = axis port = words
// Read one word in eight: co-simulation wants no register slice on a stream that is read now and
// then.
#pragma HLS INTERFACE mode = axis register_mode = off port = level_plane
#pragma HLS INTERFACE mode = axis port = weights
#pragma HLS INTERFACE mode = s_axilite port = scale
#pragma HLS INTERFACE mode = s_axilite port = format
#pragma HLS INTERFACE mode = s_axilite port = count
#pragma HLS INTERFACE mode = s_axilite port = zero_seeds
#pragma HLS INTERFACE mode = s_axilite port = return
  static const int kWordsPerLevelWord = 8;
  float_bits_t table[kLevels];
#pragma HLS ARRAY_PARTITION variable = table type = complete
TABLE:
  for (int i = 0; i < kLevels; ++i) {
#pragma HLS PIPELINE II = 1
    table[i] = scale[i];
  }
  ap_uint<32> zeros = 0;
  port_t held = 0;  // levels of the words to come, the next 16 in the low bits
WORDS:
  for (ap_uint<32> i = 0; i < count; ++i) {
#pragma HLS PIPELINE II = 1
#pragma HLS LOOP_TRIPCOUNT min = 32 max = 1835008 avg = 131072
    const port_t word = words.read();
    if (i % kWordsPerLevelWord == 0) {
      held = level_plane.read();
    }
    level_t levels[kLanes];
#pragma HLS ARRAY_PARTITION variable = levels type = complete
  LEVELS:
    for (int lane = 0; lane < kLanes; ++lane) {
#pragma HLS UNROLL
      levels[lane] = held(4 * lane + 3, 4 * lane);
    }
    held >>= 4 * kLanes;
    zeros +=
        decode_word<kBlock3, kRank3>(word, levels, table, HalfFormat(format.to_int()), weights);
  }
  *zero_seeds = zeros;
}

}  // extern "C"
