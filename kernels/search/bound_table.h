// What a scan over all seeds reads: the state sequence, and for each seed the inverse Cholesky
// factor of its Gram matrix, so that |Q^T w|^2 costs C/2 integer multiply-adds of pairs and
// P (P+1)/2 + P floating-point ones.
//
// Seeds in the order of the register's cycle: position n holds seed x_n, x_0 = 1. The basis of x_n
// is filled with the states that follow, so with v_m = x_{m+1} - 2^(K-1)
//   A[c][p] = v[n + c P + p],
// and (A^T w)_p = r(n + p) with one correlation r(m) = sum_c v[m + c P] w_c for all seeds and all
// p. With G = A^T A = L L^T, z = L^-1 A^T w has |z| = |Q^T w|.
//
// A block enters as integers: w / |w| * block_unit(), rounded, so that r is exact in 32 bits
// (|r| <= sqrt(C) 2^15 |w| by Cauchy-Schwarz, partial sums too) and states and weights are 16 bits.
//
// Rounding, for a block of unit norm. Replacing w by integers moves it by at most
// sqrt(C) / (2 block_unit()) and z by no more. Converting r to float32 and the multiply-adds of z
// (each rounded where they are not fused) move z_i by at most
//   (2P + 4) 2^-24 sum_j |(L^-1)_ij| |a_j|,   |a_j| the norm of a column.
// With |e| the norm of the sum of both, the computed |z|^2 is within 2 |e| + |e|^2 + 2^-20 of the
// exact one (|z| <= 1). Where the second part would exceed kMaxError the factor is ill-conditioned
// (1 % of the seeds): such a seed is scored with an orthonormal basis in float32 instead, and has
// zeros in `inverse`. margin() covers both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/codec/profile.h"
#include "kernels/search/cache_aligned.h"

namespace seedlm::search {

using AlignedFloats = std::vector<float, CacheAligned<float>>;
using AlignedWords = std::vector<int32_t, CacheAligned<int32_t>>;

// Seeds are scanned in chunks of this many positions: a multiple of two vectors of 4, 8 or 16
// floats, small enough that a chunk's tables stay in the L1 cache while many blocks pass.
inline constexpr int kChunk = 480;

// Immutable, thread-safe. 4bit: 3 MB.
class BoundTable {
 public:
  // Takes about 20 ms.
  explicit BoundTable(const codec::Profile& profile);

  // The process's table for one of codec::kProfiles, built at the first call.
  static const BoundTable& For(const codec::Profile& profile);

  const codec::Profile& profile() const { return profile_; }
  int entries() const { return profile_.rank * (profile_.rank + 1) / 2; }

  // Chunks 0 .. plain_chunks()-1 hold positions, those up to chunks()-1 the ill-conditioned seeds.
  int plain_chunks() const { return plain_chunks_; }
  int chunks() const { return plain_chunks_ + ill_chunks_; }
  // The seed at `index` of `chunk`; 0 where the last chunk of a kind is padding.
  uint32_t SeedAt(int chunk, int index) const {
    return seeds_[static_cast<size_t>(chunk * kChunk + index)];
  }

  // [kChunk]
  const uint32_t* Seeds(int chunk) const { return &seeds_[static_cast<size_t>(chunk * kChunk)]; }

  // What a unit-norm block is multiplied by before it is rounded to 16-bit integers.
  double block_unit() const { return block_unit_; }

  // Pairs (v[m], v[m + P]) one after the other, readable up to two vectors and the window past the
  // last position.
  const int16_t* pairs() const { return pairs_.data(); }
  // Entry (i, j), j <= i, of L^-1 / block_unit() at index i (i + 1) / 2 + j; [plain_chunks *
  // kChunk].
  const float* inverse(int entry) const {
    return &inverse_[static_cast<size_t>(entry) * static_cast<size_t>(plain_chunks_ * kChunk)];
  }
  // Q[c][p] / block_unit() of the ill-conditioned seeds; [ill_chunks * kChunk].
  const float* ill_basis(int c, int p) const {
    return &ill_basis_[static_cast<size_t>(c * profile_.rank + p) *
                       static_cast<size_t>(ill_chunks_ * kChunk)];
  }

  // How short a code of a seed can be: a lower bound of |A q| over all q with A q != 0.
  struct ShortestCode {
    double norm;
    uint32_t seed;
  };
  // All seeds, by ascending norm, then seed.
  const std::vector<ShortestCode>& shortest_codes() const { return shortest_codes_; }

  // |computed |z|^2 - exact |z|^2| <= margin() for the unit-norm block behind the integers.
  float margin() const { return margin_; }

 private:
  static constexpr double kMaxError = 1e-4;

  codec::Profile profile_;
  int plain_chunks_ = 0;
  int ill_chunks_ = 0;
  std::vector<uint32_t> seeds_;  // [chunks * kChunk]
  double block_unit_ = 0;
  std::vector<int16_t, CacheAligned<int16_t>> pairs_;
  AlignedFloats inverse_;
  AlignedFloats ill_basis_;
  std::vector<ShortestCode> shortest_codes_;
  float margin_ = 0;
};

}  // namespace seedlm::search
