// Products of four bytes each, added up to 32 bits, for one instruction set; included once for each
// by Highway's foreach_target. Defines SEEDLM_HAVE_BYTE_ROWS where there are such.
#if defined(SEEDLM_BYTE_PRODUCTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_BYTE_PRODUCTS_INL_H_
#undef SEEDLM_BYTE_PRODUCTS_INL_H_
#else
#define SEEDLM_BYTE_PRODUCTS_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/scan_inl.h"
#include "kernels/search/seed_table.h"

#undef SEEDLM_HAVE_BYTE_ROWS
#undef SEEDLM_HAVE_VNNI
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_SSSE3  // better targets are smaller
#define SEEDLM_HAVE_BYTE_ROWS
#if HWY_TARGET == HWY_AVX3_DL && !defined(__clang__)  // Highway 1.0 does not ask clang for it
#define SEEDLM_HAVE_VNNI
#endif
#endif

HWY_BEFORE_NAMESPACE();
#ifdef SEEDLM_HAVE_VNNI
#pragma GCC target("avx512vnni")
#endif
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

// What the largest entry of a block becomes. Where VNNI does not add four products in 32 bits, two
// are added in 16, with saturation.
#ifdef SEEDLM_HAVE_VNNI
constexpr int kByteWeight = 127;
#else
constexpr int kByteWeight = 64;
#endif
static_assert(kByteWeight >= search::SeedTable::kLeastByteWeight);
#ifndef SEEDLM_HAVE_VNNI
static_assert(2 * 255 * kByteWeight < 1 << 15);
#endif

#ifdef SEEDLM_HAVE_BYTE_ROWS

// sum + the products of the unsigned bytes of `rows` and the signed ones of `weights`, four a lane.
HWY_INLINE V32 AddByteProducts(V32 rows, V32 weights, V32 sum) {
#if defined(SEEDLM_HAVE_VNNI)
  return V32{_mm512_dpbusd_epi32(sum.raw, rows.raw, weights.raw)};
#elif HWY_TARGET <= HWY_AVX3
  const __m512i pairs = _mm512_maddubs_epi16(rows.raw, weights.raw);
  return V32{_mm512_add_epi32(sum.raw, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
#elif HWY_TARGET == HWY_AVX2
  const __m256i pairs = _mm256_maddubs_epi16(rows.raw, weights.raw);
  return V32{_mm256_add_epi32(sum.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
#else
  const __m128i pairs = _mm_maddubs_epi16(rows.raw, weights.raw);
  return V32{_mm_add_epi32(sum.raw, _mm_madd_epi16(pairs, _mm_set1_epi16(1)))};
#endif
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
