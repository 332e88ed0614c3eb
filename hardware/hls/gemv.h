// The matrix-vector units: y = W x, tops for synthesis.
//
//   weights      row-major. seedlm: 16 4bit words a port word; fp16: 32 float16. 64-byte aligned.
//   activations  x, float16 (32 a port word) or int8 (64); 128 * chunks of them
//   row_scales   one float32 a row, finite (flagged if not); 1.0 where there is no such scale
//   results      one float32 a row
//   levels       the tensor's 16 scales, float32: normal, positive, over at most 27 octaves
//   rows         at most 2^20
//   chunks       of 128 columns: the row is 128 * chunks long, 1 <= chunks <= 256. Shorter rows are
//                padded with the word 0x00000001 (seed 1, coefficients 0) and activations 0.
//   status       see Status in gemv_stages.h; 0 is good
//
// Arithmetic: W's entries are S * level, without the rounding to float32 that stored weights have;
// the sum over a row is exact, then two roundings (finish_rows). The order of summation is free.
#pragma once

#include "hardware/hls/gemv_stages.h"

extern "C" {

// float16 activations, any level table. 4 chunks' words of x are read before the first product,
// then 128 weights a cycle.
void seedlm_gemv(const seedlm_hls::port_t* weights, const seedlm_hls::port_t* activations,
                 const seedlm_hls::float_bits_t* row_scales, seedlm_hls::float_bits_t* results,
                 const seedlm_hls::float_bits_t levels[16], ap_uint<32> rows, ap_uint<16> chunks,
                 ap_uint<4>* status);

// The same with the levels of --scale paper or pow2: powers of two times levels[0], so that a level
// is a shift; the common significand of the levels is multiplied into row_scales by the caller, as
// host_levels.h does. Levels without one are refused: kBadLevels.
void seedlm_gemv_pow2(const seedlm_hls::port_t* weights, const seedlm_hls::port_t* activations,
                      const seedlm_hls::float_bits_t* row_scales, seedlm_hls::float_bits_t* results,
                      const seedlm_hls::float_bits_t levels[16], ap_uint<32> rows,
                      ap_uint<16> chunks, ap_uint<4>* status);

// int8 activations, any level table.
void seedlm_gemv_int8(const seedlm_hls::port_t* weights, const seedlm_hls::port_t* activations,
                      const seedlm_hls::float_bits_t* row_scales, seedlm_hls::float_bits_t* results,
                      const seedlm_hls::float_bits_t levels[16], ap_uint<32> rows,
                      ap_uint<16> chunks, ap_uint<4>* status);

// The reference on the same port: float16 weights, 32 a cycle.
void gemv_fp16(const seedlm_hls::port_t* weights, const seedlm_hls::port_t* activations,
               const seedlm_hls::float_bits_t* row_scales, seedlm_hls::float_bits_t* results,
               ap_uint<32> rows, ap_uint<16> chunks, ap_uint<4>* status);

}  // extern "C"
