// Rows of 32-bit words turned into columns, for one instruction set; included once for each by
// Highway's foreach_target.
#if defined(SEEDLM_TURN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_TURN_INL_H_
#undef SEEDLM_TURN_INL_H_
#else
#define SEEDLM_TURN_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/scan_inl.h"

HWY_BEFORE_NAMESPACE();
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Rows that are turned together; a tile is at least 4 wide.
constexpr int kTurned = kLanes < 4 ? 4 : kLanes;

// Turns the 4 x 4 words at rows[0..3] + word: column i goes to out + i * stride.
#if HWY_TARGET == HWY_SCALAR

inline void TurnWords(const int16_t* const* rows, int word, int32_t* out, size_t stride) {
  for (size_t i = 0; i < 4; ++i) {
    for (size_t r = 0; r < 4; ++r) {
      memcpy(out + i * stride + r, rows[r] + 2 * (word + static_cast<int>(i)), sizeof(int32_t));
    }
  }
}

#else

// In each 128 bits the four words of a, b, c, e are a row each: word i of all goes to out + i *
// stride.
template <class D, class V = hn::Vec<D> >
HWY_INLINE void StoreTurned(D d, V a, V b, V c, V e, int32_t* out, size_t stride) {
  const hn::Repartition<int64_t, D> d64;
  const auto ab_low = hn::BitCast(d64, hn::InterleaveLower(d, a, b));
  const auto ce_low = hn::BitCast(d64, hn::InterleaveLower(d, c, e));
  const auto ab_high = hn::BitCast(d64, hn::InterleaveUpper(d, a, b));
  const auto ce_high = hn::BitCast(d64, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ce_low)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ce_low)), d, out + stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ce_high)), d, out + 2 * stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ce_high)), d, out + 3 * stride);
}

HWY_INLINE void TurnWords(const int16_t* const* rows, int word, int32_t* out, size_t stride) {
  const hn::Full128<int32_t> d;
  const auto load = [&](int r) HWY_ATTR {
    return hn::LoadU(d, reinterpret_cast<const int32_t*>(rows[r]) + word);
  };
  StoreTurned(d, load(0), load(1), load(2), load(3), out, stride);
}

#endif

#if HWY_TARGET <= HWY_AVX3

// The same for 16 rows at once: lane k of a vector of four begins as row 4 k + r.
HWY_INLINE void TurnSixteen(const int16_t* const* rows, int word, int32_t* out) {
  const hn::Full512<int32_t> d;
  const auto load = [&](int r) HWY_ATTR {
    const auto at = [&](int row) HWY_ATTR {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row]) + word / 4);
    };
    __m512i four = _mm512_castsi128_si512(at(r));
    four = _mm512_inserti32x4(four, at(r + 4), 1);
    four = _mm512_inserti32x4(four, at(r + 8), 2);
    return hn::Vec512<int32_t>{_mm512_inserti32x4(four, at(r + 12), 3)};
  };
  StoreTurned(d, load(0), load(1), load(2), load(3), out, 16);
}

#endif

#if HWY_TARGET == HWY_AVX2

// And for 8: half k of a vector begins as row 4 k + r.
HWY_INLINE void TurnEight(const int16_t* const* rows, int word, int32_t* out) {
  const hn::Full256<int32_t> d;
  const auto load = [&](int r) HWY_ATTR {
    const auto at = [&](int row) HWY_ATTR {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row]) + word / 4);
    };
    const __m256i low = _mm256_castsi128_si256(at(r));
    return hn::Vec256<int32_t>{_mm256_inserti128_si256(low, at(r + 4), 1)};
  };
  StoreTurned(d, load(0), load(1), load(2), load(3), out, 8);
}

#endif

// tile[word][r] = word `word` of rows[r], r < kTurned. kWords: a multiple of 4.
template <int kWords>
HWY_INLINE void TurnRows(const int16_t* const* rows, int32_t* tile) {
#if HWY_TARGET <= HWY_AVX3
  HWY_UNROLL(16)
  for (int word = 0; word < kWords; word += 4) TurnSixteen(rows, word, tile + word * 16);
#elif HWY_TARGET == HWY_AVX2
  HWY_UNROLL(16)
  for (int word = 0; word < kWords; word += 4) TurnEight(rows, word, tile + word * 8);
#else
  for (int lane = 0; lane < kTurned; lane += 4) {
    HWY_UNROLL(16)
    for (int word = 0; word < kWords; word += 4) {
      TurnWords(rows + lane, word, tile + word * kTurned + lane, kTurned);
    }
  }
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
