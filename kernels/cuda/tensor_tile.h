// The tile of the tensor-core search: scores as products of half-precision matrices.
//
// With x = w / |w|, |Q^T x|^2 = <P_s, x x^T>, P_s = Q Q^T, a sum of T = C (C + 1) / 2 terms a_ij
// b_ij, a_ij = (2 -) P_ij, b_ij = x_i x_j. In the slots behind them stand 1 (seed) and the two
// halves of -threshold (block), so that a product with a clear sign bit is a survivor, and scores
// are never written anywhere. Slots go to whole steps of 16: 48 for C = 8, 80 for 12, 144 for 16.
//
// Margin. Terms enter rounded to float16. With A, B the exact terms as symmetric matrices and dA,
// dB what rounding does to them (Frobenius norms; off-diagonal terms count once for each of the two
// places, with half the value, so |<A, B>| <= |A| |B|),
//   |error| <= |dA| |B| + |A| |dB| + |dA| |dB|,   |B| = 1, |A| = sqrt(P).
// |dA| is measured on the host, the largest over all seeds (TensorTables::rounding); |dB| by
// FeatureKernel for each block. A product of a step adds 16 exact products to an accumulator;
// hardware aligns them to the largest and truncates below some 24 bits of it: at most 17
// truncations of 2^-23 of the largest magnitude a step. No partial sum exceeds sqrt(P) + 2 <= 4 in
// magnitude (Cauchy and Schwarz on any subset of terms, and the threshold), so kAccumulation *
// steps covers it. The halves of the threshold leave 2^-22 of it.
#pragma once

#include <cstdint>

#include "kernels/codec/narrow.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/tensor_terms.h"

namespace seedlm::cuda {

// Of one step: 17 truncations of 2^-23 of 4.
inline constexpr float kAccumulation = 17 * 4 * 0x1p-23f;

// Fragments of mma.sync.m16n8k16 as PTX defines them: lane = 4 g + t. A 16 x 16, rows g and g + 8,
// columns 2t, 2t + 1 and 8 more; B 16 x 8, rows as A's columns, column g; D 16 x 8, rows g and g +
// 8, columns 2t, 2t + 1.
struct alignas(16) FragmentA {
  uint32_t at[4];  // (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8): two float16 each
};
struct FragmentB {
  uint32_t at[2];  // (2t, g), (2t + 8, g)
};
struct FragmentD {
  float at[4];  // (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
};

#if defined(SEEDLM_CUDA_EMULATION)

// The scalar model of the hardware: products of float16 are exact; they and the accumulator are
// aligned to the largest exponent among them and cut, towards zero, below `kAccumulatorBits` of it.
inline constexpr int kAccumulatorBits = 24;
float ModelDotProduct(const uint16_t* a, const uint16_t* b, int count, float accumulator);

// d += a b, by all lanes of a warp.
void MultiplyAccumulate(FragmentD& d, const FragmentA& a, const FragmentB& b);

#else

__device__ inline void MultiplyAccumulate(FragmentD& d, const FragmentA& a, const FragmentB& b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d.at[0]), "+f"(d.at[1]), "+f"(d.at[2]), "+f"(d.at[3])
      : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]), "r"(b.at[0]), "r"(b.at[1]));
}

#endif

}  // namespace seedlm::cuda
