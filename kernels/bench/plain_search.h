// The paper's algorithm as one would write it down: for every seed t = pinv(U) w, the common
// exponent, rounding, reconstruction, error; the best seed wins. The baseline of the ladder: bases
// and pseudo-inverses of all seeds are computed once, nothing else is clever.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/codec/levels.h"
#include "kernels/codec/seed_search.h"

namespace seedlm::bench {

class PlainSearch {
 public:
  explicit PlainSearch(const codec::Profile& profile) : profile_(profile) {
    for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
      const codec::Basis basis = codec::MakeBasis(profile, seed);
      const codec::Factor f = codec::FactorBasis(profile, basis);
      for (int c = 0; c < profile.block; ++c) {
        for (int p = 0; p < profile.rank; ++p) {
          basis_.push_back(static_cast<double>(basis.at[c][p]) / profile.unit());
        }
      }
      AppendInverse(f);
    }
  }

  // The least squared error over all seeds, levels of the paper's window shifted by `bias`.
  double Encode(const float* weights, int bias, uint32_t* best_seed) const {
    const int block = profile_.block, rank = profile_.rank;
    double best = HUGE_VAL;
    for (uint32_t seed = 1; seed <= profile_.seed_count(); ++seed) {
      const double* inverse = &inverse_[(seed - 1) * static_cast<size_t>(block * rank)];
      const double* basis = &basis_[(seed - 1) * static_cast<size_t>(block * rank)];
      double t[codec::kMaxRank] = {};
      double largest = 0;
      for (int p = 0; p < rank; ++p) {
        for (int c = 0; c < block; ++c) t[p] += inverse[p * block + c] * weights[c];
        largest = std::max(largest, std::abs(t[p]));
      }
      int exponent = largest > 0 ? std::ilogb(largest) - 2 : bias - 8;
      exponent = std::min(std::max(exponent, bias - 8), bias + 7);
      const double scale = std::ldexp(1.0, exponent);
      double q[codec::kMaxRank] = {};
      for (int p = 0; p < rank; ++p) {
        q[p] = std::min(std::max(std::nearbyint(t[p] / scale), -8.0), 7.0);
      }
      double error = 0;
      for (int c = 0; c < block; ++c) {
        double sum = 0;
        for (int p = 0; p < rank; ++p) sum += basis[c * rank + p] * q[p];
        const double d = weights[c] - sum * scale;
        error += d * d;
      }
      if (error < best) {
        best = error;
        *best_seed = seed;
      }
    }
    return best;
  }

 private:
  // pinv(U) = unit * R^-1 Q^T, [P, C]; a dependent column counts as absent.
  void AppendInverse(const codec::Factor& f) {
    double rows[codec::kMaxRank][codec::kMaxBlock] = {};
    for (int c = 0; c < profile_.block; ++c) {
      for (int p = profile_.rank - 1; p >= 0; --p) {
        double rest = f.q[c][p];
        for (int j = p + 1; j < profile_.rank; ++j) rest -= f.r[p][j] * rows[j][c];
        rows[p][c] = f.r[p][p] > 0 ? rest / f.r[p][p] : 0;
      }
    }
    for (int p = 0; p < profile_.rank; ++p) {
      for (int c = 0; c < profile_.block; ++c) inverse_.push_back(rows[p][c] * profile_.unit());
    }
  }

  codec::Profile profile_;
  std::vector<double> basis_;    // [seed - 1][c][p]
  std::vector<double> inverse_;  // [seed - 1][p][c]
};

}  // namespace seedlm::bench
