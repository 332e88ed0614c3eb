// Scores of the seeds of a list, for one instruction set; included once for each by Highway's
// foreach_target.
//
// The rows of a list's seeds (SeedTable: 16-bit Q, [P][C]) are fetched once for all blocks of a
// cell and turned so that a lane is a seed: words of two 16-bit entries,
//   tile[v][w][lane] = word w of the row of seed v * kLanes + lane,   w < C P / 2.
// A (block, seed) pair then costs C P / 2 pair products, exact in 32 bits (|z| <= 2^30 by
// Cauchy-Schwarz, partial sums too), and P multiply-adds: 12 + 3 for 4bit.
#if defined(SEEDLM_CELL_SCAN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_CELL_SCAN_INL_H_
#undef SEEDLM_CELL_SCAN_INL_H_
#else
#define SEEDLM_CELL_SCAN_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/scan_inl.h"
#include "kernels/search/seed_table.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_AVX3_DL
#pragma GCC target("avx512vnni")
#endif
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using search::SeedTable;

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

HWY_INLINE void TurnWords(const int16_t* const* rows, int word, int32_t* out, size_t stride) {
  const hn::Full128<int32_t> d;
  const hn::Full128<int64_t> d64;
  const auto load = [&](int r) HWY_ATTR {
    return hn::LoadU(d, reinterpret_cast<const int32_t*>(rows[r]) + word);
  };
  const auto a = load(0), b = load(1), c = load(2), e = load(3);
  const auto ab_low = hn::BitCast(d64, hn::InterleaveLower(d, a, b));
  const auto ce_low = hn::BitCast(d64, hn::InterleaveLower(d, c, e));
  const auto ab_high = hn::BitCast(d64, hn::InterleaveUpper(d, a, b));
  const auto ce_high = hn::BitCast(d64, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ce_low)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ce_low)), d, out + stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ce_high)), d, out + 2 * stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ce_high)), d, out + 3 * stride);
}

#endif

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL

// The same for 16 rows at once: lane k of a vector of four begins as row 4 k + r.
HWY_INLINE void TurnSixteen(const int16_t* const* rows, int word, int32_t* out) {
  const hn::Full512<int32_t> d;
  const hn::Full512<int64_t> d64;
  const auto load = [&](int r) HWY_ATTR {
    const auto at = [&](int row) HWY_ATTR {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row]) + word / 4);
    };
    __m512i four = _mm512_castsi128_si512(at(r));
    four = _mm512_inserti32x4(four, at(r + 4), 1);
    four = _mm512_inserti32x4(four, at(r + 8), 2);
    return hn::Vec512<int32_t>{_mm512_inserti32x4(four, at(r + 12), 3)};
  };
  const auto a = load(0), b = load(1), c = load(2), e = load(3);
  const auto ab_low = hn::BitCast(d64, hn::InterleaveLower(d, a, b));
  const auto ce_low = hn::BitCast(d64, hn::InterleaveLower(d, c, e));
  const auto ab_high = hn::BitCast(d64, hn::InterleaveUpper(d, a, b));
  const auto ce_high = hn::BitCast(d64, hn::InterleaveUpper(d, c, e));
  hn::Store(hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ce_low)), d, out);
  hn::Store(hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ce_low)), d, out + 16);
  hn::Store(hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ce_high)), d, out + 32);
  hn::Store(hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ce_high)), d, out + 48);
}

#endif

// Fills tiles for `count` seeds, the last one up with seed 0, whose row is zeros.
template <int C, int P>
void FetchRows(const SeedTable& table, const uint16_t* seeds, int count, int32_t* tiles) {
  constexpr int kWords = C * P / 2;
  constexpr int kTogether = kLanes < 4 ? 4 : kLanes;  // seeds; a tile is at least 4 wide
  constexpr int kAhead = search::SeedTable::kRowsAhead;
  for (int at = 0; at < count; at += kTogether, tiles += kWords * kTogether) {
    const int16_t* rows[kTogether];
    for (int r = 0; r < kTogether; ++r) {
      const int i = at + r;
      rows[r] = table.row(i < count ? seeds[i] : 0);
      if (i + kAhead < count) table.PrefetchRow(seeds[i + kAhead]);
    }
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
    HWY_UNROLL(16)
    for (int word = 0; word < kWords; word += 4) TurnSixteen(rows, word, tiles + word * 16);
#else
    for (int lane = 0; lane < kTogether; lane += 4) {
      HWY_UNROLL(16)
      for (int word = 0; word < kWords; word += 4) {
        TurnWords(rows + lane, word, tiles + word * kTogether + lane, kTogether);
      }
    }
#endif
  }
}

#if HWY_TARGET == HWY_SCALAR

template <int C, int P, int kGroup>
inline void ScoreGroup(const int32_t* tiles, int count, const int16_t* blocks, float* scores,
                       size_t stride) {
  constexpr int kWords = C * P / 2;
  for (int i = 0; i < count; ++i) {
    const int32_t* tile = tiles + (i / 4) * kWords * 4 + i % 4;
    for (int g = 0; g < kGroup; ++g) {
      float score = 0;
      for (int p = 0; p < P; ++p) {
        int32_t sum = 0;
        for (int w = 0; w < C / 2; ++w) {
          int16_t pair[2];
          memcpy(pair, tile + (p * C / 2 + w) * 4, sizeof pair);
          sum += pair[0] * blocks[g * C + 2 * w] + pair[1] * blocks[g * C + 2 * w + 1];
        }
        score += static_cast<float>(sum) * static_cast<float>(sum);
      }
      scores[static_cast<size_t>(g) * stride + static_cast<size_t>(i)] = score;
    }
  }
}

#else

// z_p of kGroup blocks for a vector of seeds.
template <int C, int P, int kGroup>
HWY_INLINE void ScoreGroup(const int32_t* HWY_RESTRICT tiles, int count,
                           const int16_t* HWY_RESTRICT blocks, float* HWY_RESTRICT scores,
                           size_t stride) {
  constexpr int kWords = C * P / 2;
  const D d;
  const D32 d32;
  const D16 d16;
  V16 weights[kGroup][C / 2];
  for (int g = 0; g < kGroup; ++g) {
    for (int w = 0; w < C / 2; ++w) {
      int32_t pair;
      memcpy(&pair, blocks + g * C + 2 * w, sizeof pair);
      weights[g][w] = hn::BitCast(d16, hn::Set(d32, pair));
    }
  }
  for (int at = 0; at < count; at += kLanes, tiles += kWords * kLanes) {
    V score[kGroup];
    HWY_UNROLL(4)
    for (int p = 0; p < P; ++p) {
      V32 sum[kGroup], more[kGroup];
      HWY_UNROLL(4)
      for (int g = 0; g < kGroup; ++g) sum[g] = more[g] = hn::Zero(d32);
      HWY_UNROLL(16)
      for (int w = 0; w < C / 2; ++w) {
        const auto words = hn::BitCast(d16, hn::Load(d32, tiles + (p * C / 2 + w) * kLanes));
        HWY_UNROLL(4)
        for (int g = 0; g < kGroup; ++g) {
          sum[g] = AddPairProducts(words, weights[g][w], sum[g], more[g]);
        }
      }
      HWY_UNROLL(4)
      for (int g = 0; g < kGroup; ++g) {
        const V z = hn::ConvertTo(d, TotalOfPairs(sum[g], more[g]));
        score[g] = p == 0 ? hn::Mul(z, z) : hn::MulAdd(z, z, score[g]);
      }
    }
    HWY_UNROLL(4)
    for (int g = 0; g < kGroup; ++g) {
      hn::Store(score[g], d, scores + static_cast<size_t>(g) * stride + at);
    }
  }
}

#endif

template <int C, int P>
void ScoreRows(const int32_t* tiles, int count, const int16_t* blocks, int block_count,
               float* scores, size_t stride) {
  constexpr int kGroup = 4;
  int b = 0;
  for (; b + kGroup <= block_count; b += kGroup) {
    ScoreGroup<C, P, kGroup>(tiles, count, blocks + b * C, scores, stride);
    scores += kGroup * stride;
  }
  for (; b < block_count; ++b, scores += stride) {
    ScoreGroup<C, P, 1>(tiles, count, blocks + b * C, scores, stride);
  }
}

// The first of the largest of scores[0 .. count).
inline int Largest(const float* scores, int count) {
  const D d;
  V most = hn::Zero(d);
  for (int at = 0; at < count; at += kLanes) most = hn::Max(most, hn::Load(d, scores + at));
  const V largest = hn::Set(d, hn::GetLane(hn::MaxOfLanes(d, most)));
  for (int at = 0; at < count; at += kLanes) {
    const intptr_t lane = hn::FindFirstTrue(d, hn::Eq(hn::Load(d, scores + at), largest));
    if (lane >= 0) return at + static_cast<int>(lane);
  }
  return 0;
}

// The places of scores[0 .. count) that are at least `threshold`; their number. Most scores are far
// below: vectors are looked at one by one only where the largest of kTogether of them is not.
inline int SelectPlaces(const float* scores, int count, float threshold, uint32_t* places) {
  const D d;
  constexpr int kTogether = 4;
  int found = 0;
  const V least = hn::Set(d, threshold);
  const auto select = [&](int at) HWY_ATTR {
    const auto above = hn::Ge(hn::Load(d, scores + at), least);
    if (hn::AllFalse(d, above)) return;
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, above, bytes);
    uint32_t bits = bytes[0] | static_cast<uint32_t>(bytes[1]) << 8;
    for (; bits != 0; bits &= bits - 1) {
      places[found++] = static_cast<uint32_t>(at) +
                        static_cast<uint32_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(bits));
    }
  };
  int at = 0;
  for (; at + kTogether * kLanes <= count; at += kTogether * kLanes) {
    V most = hn::Load(d, scores + at);
    HWY_UNROLL(4)
    for (int i = 1; i < kTogether; ++i) most = hn::Max(most, hn::Load(d, scores + at + i * kLanes));
    if (hn::AllFalse(d, hn::Ge(most, least))) continue;
    for (int i = 0; i < kTogether; ++i) select(at + i * kLanes);
  }
  for (; at < count; at += kLanes) select(at);
  return found;
}

// Without a branch: where lists are built, the next one to keep is never far.
inline int KeepNear(const float* scores, const uint32_t* seeds, int count, float threshold,
                    float* x, uint32_t* kept) {
  const D d;
  const hn::RebindToUnsigned<D> du;
  const V least = hn::Set(d, threshold);
  const V one = hn::Set(d, 1.0f);
  size_t found = 0;
  for (int at = 0; at < count; at += kLanes) {
    const V score = hn::Load(d, scores + at);
    const auto near = hn::Ge(score, least);
    hn::StoreU(hn::Compress(hn::Sub(one, score), near), d, x + found);
    hn::StoreU(hn::Compress(hn::LoadU(du, seeds + at), hn::RebindMask(du, near)), du, kept + found);
    found += hn::CountTrue(d, near);
  }
  return static_cast<int>(found);
}

inline void AnyFetchRows(const SeedTable& table, const uint16_t* seeds, int count, int32_t* tiles) {
  const codec::Profile& profile = table.profile();
  if (profile.rank == 3) return FetchRows<8, 3>(table, seeds, count, tiles);
  return profile.block == 8 ? FetchRows<8, 4>(table, seeds, count, tiles)
                            : FetchRows<12, 4>(table, seeds, count, tiles);
}

inline void AnyScoreRows(const codec::Profile& profile, const int32_t* tiles, int count,
                         const int16_t* blocks, int block_count, float* scores, size_t stride) {
  if (profile.rank == 3) {
    return ScoreRows<8, 3>(tiles, count, blocks, block_count, scores, stride);
  }
  return profile.block == 8 ? ScoreRows<8, 4>(tiles, count, blocks, block_count, scores, stride)
                            : ScoreRows<12, 4>(tiles, count, blocks, block_count, scores, stride);
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
