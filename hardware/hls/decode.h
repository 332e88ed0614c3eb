// The decoders: tops for synthesis. Bit for bit the codec's weights.
#pragma once

#include "hardware/hls/block_sums.h"
#include "hardware/hls/rounding.h"

extern "C" {

// One 4bit word to its 8 weights. scale: the tensor's 16 levels, float32, finite and positive.
// format: HalfFormat. Combinational but for its registers: one block a cycle.
// zero_seed: the word is no code; the weights then are those of an all-zero sequence.
void block_decoder(seedlm_hls::word_t word, const seedlm_hls::float_bits_t scale[16],
                   ap_uint<1> format, seedlm_hls::half_bits_t weights[8], ap_uint<1>* zero_seed);

// 512-bit words of 16 blocks to 128 weights a cycle: output q holds weights 32q .. 32q+31 of the
// word, the first in the low bits. count: words to read, and to write on each output, which has no
// TLAST: a receiver counts, or a packet ends by what is put behind. zero_seeds: blocks with a zero
// seed; the stream stays aligned.
void decode_stream(hls::stream<seedlm_hls::port_t>& words,
                   hls::stream<seedlm_hls::port_t> weights[4],
                   const seedlm_hls::float_bits_t scale[16], ap_uint<1> format, ap_uint<32> count,
                   ap_uint<32>* zero_seeds);

// 3bit, two planes: words of 16 blocks, and one level word (128 nibbles) for each 8 of them. 192
// weights a cycle on 6 outputs. Rows have an even number of blocks, as the level plane of a row is
// whole bytes.
void decode_stream_3bit(hls::stream<seedlm_hls::port_t>& words,
                        hls::stream<seedlm_hls::port_t>& level_plane,
                        hls::stream<seedlm_hls::port_t> weights[6],
                        const seedlm_hls::float_bits_t scale[16], ap_uint<1> format,
                        ap_uint<32> count, ap_uint<32>* zero_seeds);

}  // extern "C"
