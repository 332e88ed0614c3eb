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

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/pack_inl.h"
#include "kernels/cpu/scan_inl.h"
#include "kernels/cpu/search_kernels.h"
#include "kernels/cpu/turn_inl.h"
#include "kernels/search/seed_table.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_AVX3_DL
#pragma GCC target("avx512vnni")
#endif
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using search::SeedTable;

// Fills tiles for `count` seeds, the last one up with seed 0, whose row is zeros.
template <int C, int P>
void FetchRows(const SeedTable& table, const uint16_t* seeds, int count, int32_t* tiles) {
  constexpr int kWords = C * P / 2;
  constexpr int kAhead = search::SeedTable::kRowsAhead;
  for (int at = 0; at < count; at += kTurned, tiles += kWords * kTurned) {
    const int16_t* rows[kTurned];
    for (int r = 0; r < kTurned; ++r) {
      const int i = at + r;
      rows[r] = table.row(i < count ? seeds[i] : 0);
      if (i + kAhead < count) table.PrefetchRow(seeds[i + kAhead]);
    }
    TurnRows<kWords>(rows, tiles);
  }
}

// Scores of block g of `out`, from there on.
HWY_INLINE Scores FromBlock(const Scores& out, size_t g) {
  return {out.scores + g * out.stride, out.peaks + g * (out.stride / Scores::kRun), out.stride};
}

// Calls score(tile, scores) for every vector of seeds; scores[g] are those of kGroup blocks, which
// go to `out`. tile: of so many words.
template <int kGroup, int kWords, typename Score>
HWY_INLINE void ScoreTiles(const int32_t* HWY_RESTRICT tiles, int count, const Scores& out,
                           const Score& score) {
  constexpr int kRun = static_cast<int>(Scores::kRun) * kLanes;
  const D d;
  for (int run = 0; run < count; run += kRun) {
    V peak[kGroup];
    HWY_UNROLL(4)
    for (int g = 0; g < kGroup; ++g) peak[g] = hn::Zero(d);
    const int end = std::min(count, run + kRun);
    for (int at = run; at < end; at += kLanes, tiles += kWords * kLanes) {
      V scores[kGroup];
      score(tiles, scores);
      HWY_UNROLL(4)
      for (int g = 0; g < kGroup; ++g) {
        peak[g] = hn::Max(peak[g], scores[g]);
        hn::Store(scores[g], d, out.scores + static_cast<size_t>(g) * out.stride + at);
      }
    }
    HWY_UNROLL(4)
    for (int g = 0; g < kGroup; ++g) {
      hn::Store(peak[g], d, FromBlock(out, static_cast<size_t>(g)).peaks + run / kRun * kLanes);
    }
  }
}

#if HWY_TARGET == HWY_SCALAR

template <int C, int P, int kGroup>
inline void ScoreGroup(const int32_t* tiles, int count, const int16_t* blocks, const Scores& out) {
  constexpr int kWords = C * P / 2;
  for (int g = 0; g < kGroup; ++g) {
    const Scores to = FromBlock(out, static_cast<size_t>(g));
    for (int i = 0; i < count; ++i) {
      const int32_t* tile = tiles + (i / 4) * kWords * 4 + i % 4;
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
      to.scores[i] = score;
      float& peak = to.peaks[i / static_cast<int>(Scores::kRun)];
      peak = i % static_cast<int>(Scores::kRun) == 0 ? score : std::max(peak, score);
    }
  }
}

#else

// z_p of kGroup blocks for a vector of seeds.
template <int C, int P, int kGroup>
HWY_INLINE void ScoreGroup(const int32_t* HWY_RESTRICT tiles, int count,
                           const int16_t* HWY_RESTRICT blocks, const Scores& out) {
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
  ScoreTiles<kGroup, C * P / 2>(tiles, count, out, [&](const int32_t* tile, V* score) HWY_ATTR {
    HWY_UNROLL(4)
    for (int p = 0; p < P; ++p) {
      V32 sum[kGroup], more[kGroup];
      HWY_UNROLL(4)
      for (int g = 0; g < kGroup; ++g) sum[g] = more[g] = hn::Zero(d32);
      HWY_UNROLL(16)
      for (int w = 0; w < C / 2; ++w) {
        const auto words = hn::BitCast(d16, hn::Load(d32, tile + (p * C / 2 + w) * kLanes));
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
  });
}

#endif

template <int C, int P>
void ScoreRows(const int32_t* tiles, int count, const int16_t* blocks, int block_count,
               const Scores& out) {
  constexpr int kGroup = 4;
  int b = 0;
  for (; b + kGroup <= block_count; b += kGroup) {
    ScoreGroup<C, P, kGroup>(tiles, count, blocks + b * C, FromBlock(out, static_cast<size_t>(b)));
  }
  for (; b < block_count; ++b) {
    ScoreGroup<C, P, 1>(tiles, count, blocks + b * C, FromBlock(out, static_cast<size_t>(b)));
  }
}

// The first of the largest of scores[0 .. count).
inline int Largest(const Scores& of, int count) {
  constexpr int kRun = static_cast<int>(Scores::kRun) * kLanes;
  const D d;
  const int peaks = (count + kRun - 1) / kRun * kLanes;
  V most = hn::Zero(d);
  for (int at = 0; at < peaks; at += kLanes) most = hn::Max(most, hn::Load(d, of.peaks + at));
  const V largest = hn::Set(d, hn::GetLane(hn::MaxOfLanes(d, most)));
  int run = 0;
  while (run + kLanes < peaks && hn::AllFalse(d, hn::Eq(hn::Load(d, of.peaks + run), largest))) {
    run += kLanes;
  }
  for (int at = run * static_cast<int>(Scores::kRun); at < count; at += kLanes) {
    const intptr_t lane = hn::FindFirstTrue(d, hn::Eq(hn::Load(d, of.scores + at), largest));
    if (lane >= 0) return at + static_cast<int>(lane);
  }
  return 0;
}

// The places of scores[0 .. count) that are at least `threshold`; their number. Most scores are far
// below: a run is looked at only where its peaks are not.
inline int SelectPlaces(const Scores& of, int count, float threshold, uint32_t* places) {
  constexpr int kRun = static_cast<int>(Scores::kRun) * kLanes;
  const D d;
  const V least = hn::Set(d, threshold);
  int found = 0;
  const float* peaks = of.peaks;
  for (int run = 0; run < count; run += kRun, peaks += kLanes) {
    if (hn::AllFalse(d, hn::Ge(hn::Load(d, peaks), least))) continue;
    const int end = std::min(count, run + kRun);
    for (int at = run; at < end; at += kLanes) {
      const auto above = hn::Ge(hn::Load(d, of.scores + at), least);
      if (hn::AllFalse(d, above)) continue;
      uint8_t bytes[8] = {};
      hn::StoreMaskBits(d, above, bytes);
      uint32_t bits = bytes[0] | static_cast<uint32_t>(bytes[1]) << 8;
      for (; bits != 0; bits &= bits - 1) {
        places[found++] = static_cast<uint32_t>(at) +
                          static_cast<uint32_t>(hwy::Num0BitsBelowLS1Bit_Nonzero32(bits));
      }
    }
  }
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
    const Packer<D> near(hn::Ge(score, least));
    hn::StoreU(near(d, hn::Sub(one, score)), d, x + found);
    hn::StoreU(near(du, hn::LoadU(du, seeds + at)), du, kept + found);
    found += near.count();
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
                         const int16_t* blocks, int block_count, const Scores& out) {
  if (profile.rank == 3) return ScoreRows<8, 3>(tiles, count, blocks, block_count, out);
  return profile.block == 8 ? ScoreRows<8, 4>(tiles, count, blocks, block_count, out)
                            : ScoreRows<12, 4>(tiles, count, blocks, block_count, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
