// The ports of the matrix-vector tops. Interface pragmas count only in the top itself: hence a
// macro. Each array has a bundle of its own, as one bundle has one set of burst options. `depth` is
// for C/RTL co-simulation alone: elements of the arrays that the test bench passes.
#pragma once

#define SEEDLM_PRAGMA(text) _Pragma(#text)
#define SEEDLM_GEMV_PORTS                                                                   \
  SEEDLM_PRAGMA(HLS INTERFACE mode = m_axi port = weights bundle = gmem_weights offset =    \
                    slave depth = 1024 max_read_burst_length = 64 num_read_outstanding =    \
                        16 latency = 64)                                                    \
  SEEDLM_PRAGMA(HLS INTERFACE mode = m_axi port = activations bundle = gmem_vector offset = \
                    slave depth = 1024 max_read_burst_length = 64 num_read_outstanding = 4) \
  SEEDLM_PRAGMA(HLS INTERFACE mode = m_axi port = row_scales bundle = gmem_scales offset =  \
                    slave depth = 16 max_read_burst_length = 64 num_read_outstanding = 4)   \
  SEEDLM_PRAGMA(HLS INTERFACE mode = m_axi port = results bundle = gmem_results offset =    \
                    slave depth = 16 max_write_burst_length = 64 num_write_outstanding = 4) \
  SEEDLM_PRAGMA(HLS INTERFACE mode = s_axilite port = rows)                                 \
  SEEDLM_PRAGMA(HLS INTERFACE mode = s_axilite port = chunks)                               \
  SEEDLM_PRAGMA(HLS INTERFACE mode = s_axilite port = status)                               \
  SEEDLM_PRAGMA(HLS INTERFACE mode = s_axilite port = return )                              \
  SEEDLM_PRAGMA(HLS INTERFACE mode = ap_ctrl_chain port = return )
