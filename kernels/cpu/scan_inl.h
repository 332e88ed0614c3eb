// The scan for one instruction set; included once for each by Highway's foreach_target.
//
// A chunk of seeds passes all blocks, kGroup at a time:
//   1. correlate: r(m) = sum_c v[m + cP] w_c in 16-bit pairs, exact in 32 bits, a tile of kTile
//      vectors x kGroup blocks in registers;
//   2. score: y_p = r(n + p) (a shifted load), z = L^-1 y, |z|^2, running maximum, in float32.
// A (block, seed) pair costs C / 2 pair products and P (P + 1) / 2 + P multiply-adds: 4 + 9 for
// 4bit.
#if defined(SEEDLM_SCAN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_SCAN_INL_H_
#undef SEEDLM_SCAN_INL_H_
#else
#define SEEDLM_SCAN_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/codec/shape.h"
#include "kernels/search/bound_table.h"

HWY_BEFORE_NAMESPACE();
#if HWY_TARGET == HWY_AVX3_DL
#pragma GCC target("avx512vnni")  // Highway 1.0 names avxvnni for this target instead
#endif
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using search::BoundTable;
using search::kChunk;
using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr int kTile = 2;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
static_assert(kChunk % (kTile * kLanes) == 0);

// r of a chunk and of up to a vector past its end, for kGroup blocks.
template <int kGroup>
struct Correlations {
  HWY_ALIGN float r[kGroup][kChunk + 16];
};

#if HWY_TARGET == HWY_SCALAR  // no vectors, so no pairs of lanes either

template <int C, int P, int kGroup, int kVectors>
HWY_INLINE void CorrelateTile(const int16_t* pairs, const int16_t* blocks, int at,
                              Correlations<kGroup>& out) {
  for (int g = 0; g < kGroup; ++g) {
    for (int v = 0; v < kVectors; ++v) {
      int32_t sum = 0;
      for (int c = 0; c < C; ++c) sum += pairs[2 * (at + v + c * P)] * blocks[g * C + c];
      out.r[g][at + v] = static_cast<float>(sum);
    }
  }
}

#else

using D32 = hn::RebindToSigned<D>;
using D16 = hn::Repartition<int16_t, D32>;
using V32 = hn::Vec<D32>;
using V16 = hn::Vec<D16>;

// Adds the products of pairs to `sum`, or some of them to `more`: TotalOfPairs(sum, more) has all.
HWY_INLINE V32 AddPairProducts(V16 a, V16 b, V32 sum, V32& more) {
// Highway 1.0 has no operation that becomes this instruction, nor does it ask clang for it.
#if HWY_TARGET == HWY_AVX3_DL && !defined(__clang__)
  (void)more;
  return V32{_mm512_dpwssd_epi32(sum.raw, a.raw, b.raw)};
#else
  return hn::ReorderWidenMulAccumulate(D32(), a, b, sum, more);
#endif
}

HWY_INLINE V32 TotalOfPairs(V32 sum, V32 more) { return hn::RearrangeToOddPlusEven(sum, more); }

template <int C, int P, int kGroup, int kVectors>
HWY_INLINE void CorrelateTile(const int16_t* HWY_RESTRICT pairs, const int16_t* HWY_RESTRICT blocks,
                              int at, Correlations<kGroup>& out) {
  const D32 d32;
  const D16 d16;
  V32 sum[kGroup][kVectors], more[kGroup][kVectors];
  HWY_UNROLL(16)
  for (int g = 0; g < kGroup; ++g) {
    HWY_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) sum[g][v] = more[g][v] = hn::Zero(d32);
  }
  HWY_UNROLL(16)
  for (int c = 0; c < C; c += 2) {
    V16 window[kVectors];
    HWY_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) {
      window[v] = hn::LoadU(d16, pairs + 2 * (at + v * kLanes + c * P));
    }
    HWY_UNROLL(16)
    for (int g = 0; g < kGroup; ++g) {
      int32_t pair;
      memcpy(&pair, blocks + g * C + c, sizeof pair);
      const auto weights = hn::BitCast(d16, hn::Set(d32, pair));
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors; ++v) {
        sum[g][v] = AddPairProducts(window[v], weights, sum[g][v], more[g][v]);
      }
    }
  }
  HWY_UNROLL(16)
  for (int g = 0; g < kGroup; ++g) {
    HWY_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) {
      const auto r = TotalOfPairs(sum[g][v], more[g][v]);
      hn::Store(hn::ConvertTo(D(), r), D(), &out.r[g][at + v * kLanes]);
    }
  }
}

#endif

template <int C, int P, int kGroup>
HWY_INLINE void Correlate(const int16_t* HWY_RESTRICT pairs, const int16_t* HWY_RESTRICT blocks,
                          Correlations<kGroup>& out) {
  for (int at = 0; at < kChunk; at += kTile * kLanes) {
    CorrelateTile<C, P, kGroup, kTile>(pairs, blocks, at, out);
  }
  for (int at = kChunk; at < kChunk + P - 1; at += kLanes) {  // the last seeds look ahead
    CorrelateTile<C, P, kGroup, 1>(pairs, blocks, at, out);
  }
}

// |L^-1 y|^2 for the seeds at `at`; y_p = r[at + p].
template <int P>
HWY_INLINE V Score(const float* HWY_RESTRICT r, const V* HWY_RESTRICT inverse) {
  const D d;
  V y[P];
  HWY_UNROLL(16)
  for (int p = 0; p < P; ++p) y[p] = hn::LoadU(d, r + p);
  V score = hn::Zero(d);
  int entry = 0;
  HWY_UNROLL(16)
  for (int i = 0; i < P; ++i) {
    V z = hn::Mul(inverse[entry++], y[0]);
    HWY_UNROLL(16)
    for (int j = 1; j <= i; ++j) z = hn::MulAdd(inverse[entry++], y[j], z);
    score = i == 0 ? hn::Mul(z, z) : hn::MulAdd(z, z, score);
  }
  return score;
}

// Calls visit(g, at, score) for all seeds of a chunk of positions.
template <int C, int P, int kGroup, typename Visit>
HWY_INLINE void ScanPlainChunk(const BoundTable& table, const int16_t* blocks, int chunk,
                               const Visit& visit) {
  const D d;
  Correlations<kGroup> correlations;
  Correlate<C, P, kGroup>(table.pairs() + 2 * chunk * kChunk, blocks, correlations);
  constexpr int kEntries = P * (P + 1) / 2;
  const float* inverse_at[kEntries];
  for (int e = 0; e < kEntries; ++e) inverse_at[e] = table.inverse(e) + chunk * kChunk;
  for (int at = 0; at < kChunk; at += kLanes) {
    V inverse[kEntries];
    HWY_UNROLL(16)
    for (int e = 0; e < kEntries; ++e) inverse[e] = hn::Load(d, inverse_at[e] + at);
    HWY_UNROLL(16)
    for (int g = 0; g < kGroup; ++g) visit(g, at, Score<P>(&correlations.r[g][at], inverse));
  }
}

// The same for a chunk of ill-conditioned seeds, by their orthonormal bases.
template <int C, int P, int kGroup, typename Visit>
HWY_INLINE void ScanIllChunk(const BoundTable& table, const int16_t* blocks, int chunk,
                             const Visit& visit) {
  const D d;
  const int first = (chunk - table.plain_chunks()) * kChunk;
  for (int at = 0; at < kChunk; at += kLanes) {
    for (int g = 0; g < kGroup; ++g) {
      V score = hn::Zero(d);
      for (int p = 0; p < P; ++p) {
        V z = hn::Zero(d);
        for (int c = 0; c < C; ++c) {
          const V q = hn::Load(d, table.ill_basis(c, p) + first + at);
          z = hn::MulAdd(q, hn::Set(d, static_cast<float>(blocks[g * C + c])), z);
        }
        score = hn::MulAdd(z, z, score);
      }
      visit(g, at, score);
    }
  }
}

template <int C, int P, int kGroup, typename Visit>
HWY_INLINE void ScanChunk(const BoundTable& table, const int16_t* blocks, int chunk,
                          const Visit& visit) {
  if (chunk < table.plain_chunks()) {
    ScanPlainChunk<C, P, kGroup>(table, blocks, chunk, visit);
  } else {
    ScanIllChunk<C, P, kGroup>(table, blocks, chunk, visit);
  }
}

template <int C, int P, int kGroup>
void GroupMaxima(const BoundTable& table, const int16_t* blocks, int chunk, float* maxima) {
  const D d;
  V largest[kGroup];
  HWY_UNROLL(16)
  for (int g = 0; g < kGroup; ++g) largest[g] = hn::Zero(d);
  ScanChunk<C, P, kGroup>(table, blocks, chunk, [&](int g, int, V score) HWY_ATTR {
    largest[g] = hn::Max(largest[g], score);
  });
  for (int g = 0; g < kGroup; ++g) {
    maxima[g * table.chunks() + chunk] = hn::GetLane(hn::MaxOfLanes(d, largest[g]));
  }
}

template <int C, int P>
void ChunkMaxima(const BoundTable& table, const int16_t* blocks, int count, float* maxima) {
  constexpr int kGroup = 4;
  for (int chunk = 0; chunk < table.chunks(); ++chunk) {
    int b = 0;
    for (; b + kGroup <= count; b += kGroup) {
      GroupMaxima<C, P, kGroup>(table, blocks + b * C, chunk, maxima + b * table.chunks());
    }
    for (; b < count; ++b) {
      GroupMaxima<C, P, 1>(table, blocks + b * C, chunk, maxima + b * table.chunks());
    }
  }
}

template <int C, int P>
void ChunkScores(const BoundTable& table, const int16_t* blocks, int count, int chunk,
                 float* scores) {
  constexpr int kGroup = 4;
  const auto store = [&](int g, int at, V score)
                         HWY_ATTR { hn::StoreU(score, D(), scores + g * kChunk + at); };
  for (; count >= kGroup; count -= kGroup, blocks += kGroup * C, scores += kGroup * kChunk) {
    ScanChunk<C, P, kGroup>(table, blocks, chunk, store);
  }
  for (; count > 0; --count, blocks += C, scores += kChunk) {
    ScanChunk<C, P, 1>(table, blocks, chunk, store);
  }
}

inline void AnyChunkMaxima(const BoundTable& table, const int16_t* blocks, int count,
                           float* maxima) {
  codec::WithShape(table.profile(), [&](auto shape) {
    ChunkMaxima<shape.kBlock, shape.kRank>(table, blocks, count, maxima);
  });
}

inline void AnyChunkScores(const BoundTable& table, const int16_t* blocks, int count, int chunk,
                           float* scores) {
  codec::WithShape(table.profile(), [&](auto shape) {
    ChunkScores<shape.kBlock, shape.kRank>(table, blocks, count, chunk, scores);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
