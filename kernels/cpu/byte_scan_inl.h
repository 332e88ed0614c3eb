// Scores of the seeds of a list by rows of bytes, for one instruction set; included once for each
// by Highway's foreach_target.
//
// As cell_scan_inl.h, but for half the memory: a row is one cache line (SeedTable::byte_row), and
// a (block, seed) pair costs C P / 4 products of fours, P multiply-adds and two more: 12 + 4 + 2
// for 3bit, where rows of 16 bits take 24 + 4. A product of fours is one instruction with VNNI,
// three without. What rounding to bytes may cost is added to the score: no seed that matters is
// missed, some five times as many pass, and finishing turns them away by their exact projections.
// Where that is the larger part (4bit: the errors are so much smaller), rows of bytes do not pay.
#if defined(SEEDLM_BYTE_SCAN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_BYTE_SCAN_INL_H_
#undef SEEDLM_BYTE_SCAN_INL_H_
#else
#define SEEDLM_BYTE_SCAN_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/byte_products_inl.h"
#include "kernels/cpu/cell_scan_inl.h"
#include "kernels/cpu/search_kernels.h"

#ifdef SEEDLM_HAVE_BYTE_ROWS

HWY_BEFORE_NAMESPACE();
#ifdef SEEDLM_HAVE_VNNI
#pragma GCC target("avx512vnni")
#endif
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

constexpr int kByteRowWords = 16;  // of 32 bits

// Fills tiles, tile[v][word][lane], for `count` seeds, the last one up with seed 0.
inline void FetchByteRows(const SeedTable& table, const uint16_t* seeds, int count,
                          int32_t* tiles) {
  constexpr int kAhead = SeedTable::kRowsAhead;
  for (int at = 0; at < count; at += kTurned, tiles += kByteRowWords * kTurned) {
    const int16_t* rows[kTurned];
    for (int r = 0; r < kTurned; ++r) {
      const int i = at + r;
      rows[r] = reinterpret_cast<const int16_t*>(table.byte_row(i < count ? seeds[i] : 0));
      if (i + kAhead < count) table.PrefetchByteRow(seeds[i + kAhead]);
    }
    TurnRows<kByteRowWords>(rows, tiles);
  }
}

template <int C, int P, int kGroup>
HWY_INLINE void ScoreByteGroup(const int32_t* HWY_RESTRICT tiles, int count,
                               const ByteBlock* HWY_RESTRICT blocks, const Scores& out) {
  const D d;
  const D32 d32;
  V32 weights[kGroup][C / 4];
  for (int g = 0; g < kGroup; ++g) {
    for (int w = 0; w < C / 4; ++w) {
      int32_t four;
      memcpy(&four, blocks[g].weights + 4 * w, sizeof four);
      weights[g][w] = hn::Set(d32, four);
    }
  }
  ScoreTiles<kGroup, kByteRowWords>(tiles, count, out, [&](const int32_t* tile, V* score) HWY_ATTR {
    const auto word = [&](int w) HWY_ATTR { return hn::Load(d32, tile + w * kLanes); };
    HWY_UNROLL(4)
    for (int p = 0; p < P; ++p) {
      V32 sum[kGroup];
      HWY_UNROLL(4)
      for (int g = 0; g < kGroup; ++g) sum[g] = hn::Set(d32, blocks[g].offset);
      HWY_UNROLL(4)
      for (int w = 0; w < C / 4; ++w) {
        const V32 bytes = word(p * C / 4 + w);
        HWY_UNROLL(4)
        for (int g = 0; g < kGroup; ++g) {
          sum[g] = AddByteProducts(bytes, weights[g][w], sum[g]);
        }
      }
      HWY_UNROLL(4)
      for (int g = 0; g < kGroup; ++g) {
        const V z = hn::ConvertTo(d, sum[g]);
        score[g] = p == 0 ? hn::Mul(z, z) : hn::MulAdd(z, z, score[g]);
      }
    }
    const V scale = hn::BitCast(d, word(C * P / 4));
    const V error = hn::BitCast(d, word(C * P / 4 + 1));
    HWY_UNROLL(4)
    for (int g = 0; g < kGroup; ++g) {
      const V unit = hn::Mul(scale, hn::Set(d, blocks[g].scale));
      score[g] = hn::MulAdd(score[g], unit, error);
    }
  });
}

// Only 3bit has byte rows.
inline void AnyScoreByteRows(const codec::Profile& profile, const int32_t* tiles, int count,
                             const ByteBlock* blocks, int block_count, const Scores& out) {
  constexpr int C = codec::k3bit.block, P = codec::k3bit.rank, kGroup = 4;
  if (profile.block != C || profile.rank != P) return;
  int b = 0;
  for (; b + kGroup <= block_count; b += kGroup) {
    ScoreByteGroup<C, P, kGroup>(tiles, count, blocks + b, FromBlock(out, static_cast<size_t>(b)));
  }
  for (; b < block_count; ++b) {
    ScoreByteGroup<C, P, 1>(tiles, count, blocks + b, FromBlock(out, static_cast<size_t>(b)));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // SEEDLM_HAVE_BYTE_ROWS

#endif  // include guard for each target
