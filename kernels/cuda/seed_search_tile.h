// Scores |Q^T w|^2 of unit-norm blocks, within TableView::margin.
#pragma once

#include <cstdint>

#include "kernels/codec/shape.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/search_tables.h"

namespace seedlm::cuda {

// |L^-1 y|^2. `inverse`: the entries of L^-1, row by row.
template <class S>
__device__ inline float SquaredNorm(const float* inverse, const float* y) {
  float score = 0;
  int entry = 0;
  SEEDLM_UNROLL
  for (int i = 0; i < S::kRank; ++i) {
    float z = inverse[entry++] * y[0];
    SEEDLM_UNROLL
    for (int j = 1; j <= i; ++j) z = MulAdd(inverse[entry++], y[j], z);
    score = i == 0 ? z * z : MulAdd(z, z, score);
  }
  return score;
}

// The blocks of one thread, and the largest score of each so far.
template <class S, int kBlocks>
struct ScanTile {
  float weights[kBlocks][S::kBlock];
  float history[kBlocks][S::kRank];  // r(n), .., r(n + P - 1)
  float largest[kBlocks];

  __device__ void ClearLargest() {
    SEEDLM_UNROLL
    for (int g = 0; g < kBlocks; ++g) largest[g] = 0;
  }

  // Takes in a record's v: r slides by one position.
  __device__ void Slide(const float* v) {
    float r[kBlocks];
    SEEDLM_UNROLL
    for (int g = 0; g < kBlocks; ++g) r[g] = weights[g][0] * v[0];
    SEEDLM_UNROLL
    for (int c = 1; c < S::kBlock; ++c) {
      SEEDLM_UNROLL
      for (int g = 0; g < kBlocks; ++g) r[g] = MulAdd(weights[g][c], v[c], r[g]);
    }
    SEEDLM_UNROLL
    for (int g = 0; g < kBlocks; ++g) {
      SEEDLM_UNROLL
      for (int p = 0; p + 1 < S::kRank; ++p) history[g][p] = history[g][p + 1];
      history[g][S::kRank - 1] = r[g];
    }
  }

  // Scores the position whose record this is.
  __device__ void Score(const float* inverse) {
    SEEDLM_UNROLL
    for (int g = 0; g < kBlocks; ++g) {
      largest[g] = fmaxf(largest[g], SquaredNorm<S>(inverse, history[g]));
    }
  }

  // Scores an ill-conditioned seed: `q` is its orthonormal basis, [C][P].
  __device__ void ScoreBasis(const float* q) {
    SEEDLM_UNROLL
    for (int g = 0; g < kBlocks; ++g) {
      float score = 0;
      SEEDLM_UNROLL
      for (int p = 0; p < S::kRank; ++p) {
        float z = q[p] * weights[g][0];
        SEEDLM_UNROLL
        for (int c = 1; c < S::kBlock; ++c) z = MulAdd(q[c * S::kRank + p], weights[g][c], z);
        score = MulAdd(z, z, score);
      }
      largest[g] = fmaxf(largest[g], score);
    }
  }
};

// Floats in registers, by 16-byte loads. REQUIRES: `from` is 16-byte aligned.
template <int kCount>
struct LoadedFloats {
  static_assert(kCount % 4 == 0);
  float at[kCount];

  __device__ explicit LoadedFloats(const float* from) {
    SEEDLM_UNROLL
    for (int i = 0; i < kCount / 4; ++i) {
      const float4 four = reinterpret_cast<const float4*>(from)[i];
      at[4 * i] = four.x;
      at[4 * i + 1] = four.y;
      at[4 * i + 2] = four.z;
      at[4 * i + 3] = four.w;
    }
  }
};

// The score of the seed at `place` of a segment, for one block, without sliding.
template <class S>
__device__ inline float ScoreAt(const TableView& tables, const float* weights, int segment,
                                int place, int segment_length, int ill_length) {
  if (segment < tables.plain_segments) {
    const int n = segment * segment_length + place;
    float y[S::kRank];
    SEEDLM_UNROLL
    for (int p = 0; p < S::kRank; ++p) {
      y[p] = weights[0] * tables.sequence[n + p];
      SEEDLM_UNROLL
      for (int c = 1; c < S::kBlock; ++c) {
        y[p] = MulAdd(weights[c], tables.sequence[n + p + c * S::kRank], y[p]);
      }
    }
    constexpr int kStride = RecordFloats(S::kBlock, S::kRank);
    const float* record = tables.records + int64_t{n + S::kRank - 1} * kStride;
    return SquaredNorm<S>(record + S::kBlock, y);
  }
  const int i = (segment - tables.plain_segments) * ill_length + place;
  const float* q = tables.ill_bases + int64_t{i} * S::kBlock * S::kRank;
  float score = 0;
  SEEDLM_UNROLL
  for (int p = 0; p < S::kRank; ++p) {
    float z = q[p] * weights[0];
    SEEDLM_UNROLL
    for (int c = 1; c < S::kBlock; ++c) z = MulAdd(q[c * S::kRank + p], weights[c], z);
    score = MulAdd(z, z, score);
  }
  return score;
}

// A seed's basis in registers.
template <class S>
struct SeedBasis {
  LoadedFloats<S::kBlock * S::kRank> q;  // [P][C]

  __device__ SeedBasis(const TableView& tables, uint32_t seed)
      : q(tables.bases + int64_t{seed} * S::kBlock * S::kRank) {}
  // |Q^T w|^2 of a unit-norm block, `unit` as in Workspace.
  __device__ float Score(const float* unit) const {
    float score = 0;
    SEEDLM_UNROLL
    for (int p = 0; p < S::kRank; ++p) {
      float z = q.at[p * S::kBlock] * unit[0];
      SEEDLM_UNROLL
      for (int c = 1; c < S::kBlock; ++c) z = MulAdd(q.at[p * S::kBlock + c], unit[c], z);
      score = MulAdd(z, z, score);
    }
    return score;
  }
};

}  // namespace seedlm::cuda
