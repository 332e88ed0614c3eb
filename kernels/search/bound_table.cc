#include "kernels/search/bound_table.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/codec/basis.h"
#include "kernels/codec/lfsr.h"
#include "kernels/codec/seed_search.h"
#include "kernels/search/per_profile.h"

namespace seedlm::search {
namespace {

using codec::kMaxRank;

// L^-1 of G = A^T A = R^T R, that is R^-T: lower triangular. REQUIRES: R has full rank.
std::array<double, 10> InverseCholesky(const codec::Profile& profile, const codec::Factor& f) {
  std::array<double, 10> inverse{};
  const auto at = [&](int i, int j) -> double& {
    return inverse[static_cast<size_t>(i * (i + 1) / 2 + j)];
  };
  for (int j = 0; j < profile.rank; ++j) {
    for (int i = j; i < profile.rank; ++i) {
      double sum = i == j ? 1.0 : 0.0;
      for (int k = j; k < i; ++k) sum -= f.r[k][i] * at(k, j);
      at(i, j) = sum / f.r[i][i];
    }
  }
  return inverse;
}

// The floating-point part of |e| of the header. Infinite where R is singular.
double ScoreError(const codec::Profile& profile, const codec::Factor& f,
                  const std::array<double, 10>& inverse) {
  std::array<double, kMaxRank> column_norm{};
  for (int p = 0; p < profile.rank; ++p) {
    if (!(f.r[p][p] > 0)) return HUGE_VAL;
    for (int j = 0; j <= p; ++j) column_norm[static_cast<size_t>(p)] += f.r[j][p] * f.r[j][p];
    column_norm[static_cast<size_t>(p)] = std::sqrt(column_norm[static_cast<size_t>(p)]);
  }
  double squared = 0;
  size_t entry = 0;
  for (int i = 0; i < profile.rank; ++i) {
    double sum = 0;
    for (int j = 0; j <= i; ++j) {
      sum += std::abs(inverse[entry++]) * column_norm[static_cast<size_t>(j)];
    }
    squared += sum * sum;
  }
  return (2 * profile.rank + 4) * 0x1p-24 * std::sqrt(squared);
}

// A lower bound of |A q| = |R q| over the coefficient vectors with A q != 0. The last coefficient
// that is not 0 alone contributes at least min_p R_pp; where that says little (an ill-conditioned
// basis), the shortest vector is looked for, depth first.
double ShortestCodeNorm(const codec::Profile& profile, const codec::Factor& f) {
  constexpr double kLittle = 4096;
  double least = f.r[0][0];
  for (int p = 1; p < profile.rank; ++p) least = std::min(least, f.r[p][p]);
  if (least >= kLittle) return least;
  double best = f.r[0][0] * f.r[0][0];  // q = (1, 0, ..)
  std::array<int, kMaxRank> q{};
  const auto descend = [&](const auto& self, int p, double above) -> void {
    double offset = 0;
    for (int j = p + 1; j < profile.rank; ++j) offset += f.r[p][j] * q[static_cast<size_t>(j)];
    for (int k = codec::kMinCoefficient; k <= codec::kMaxCoefficient; ++k) {
      const double residual = offset + f.r[p][p] * k;
      const double squared = above + residual * residual;
      if (squared >= best) continue;
      q[static_cast<size_t>(p)] = k;
      if (p > 0) {
        self(self, p - 1, squared);
      } else if (squared > 0.5) {  // A q is made of integers: anything less is rounding of 0
        best = squared;
      }
    }
  };
  descend(descend, profile.rank - 1, 0);
  return std::sqrt(best) * (1 - 1e-6);
}

int Chunks(size_t count) { return static_cast<int>((count + kChunk - 1) / kChunk); }

}  // namespace

BoundTable::BoundTable(const codec::Profile& profile)
    : profile_(profile),
      // 2^31 / (2^15 sqrt(C)), less the rounding of the integers.
      block_unit_(std::floor(0x1p16 / std::sqrt(profile.block)) - profile.block) {
  const size_t count = profile.seed_count();
  plain_chunks_ = Chunks(count);
  const size_t plain = static_cast<size_t>(plain_chunks_) * kChunk;
  // A chunk reads r up to a vector past its end, and r reads (C - 1) P further.
  const size_t window = static_cast<size_t>(profile.block * profile.rank);
  inverse_.resize(static_cast<size_t>(entries()) * plain);
  seeds_.assign(plain, 0);

  std::vector<int16_t> sequence(plain + 2 * window + 64);
  uint32_t state = 1;
  for (size_t n = 0; n < sequence.size(); ++n) {
    if (n < count) seeds_[n] = state;
    state = codec::NextState(state, profile.lfsr_width);
    sequence[n] = static_cast<int16_t>(static_cast<int32_t>(state) - profile.centre());
  }
  for (size_t n = 0; n + window < sequence.size(); ++n) {
    pairs_.push_back(sequence[n]);
    pairs_.push_back(sequence[n + static_cast<size_t>(profile.rank)]);
  }

  double worst = (2 * profile.block + 4) * 0x1p-24 * profile.rank;  // of an orthonormal Q
  std::vector<codec::Factor> ill;
  for (size_t n = 0; n < count; ++n) {
    const codec::Factor factor = codec::FactorBasis(profile, codec::MakeBasis(profile, seeds_[n]));
    shortest_codes_.push_back({ShortestCodeNorm(profile, factor), seeds_[n]});
    const auto inverse = InverseCholesky(profile, factor);
    const double error = ScoreError(profile, factor, inverse);
    if (!(error <= kMaxError)) {
      ill.push_back(factor);
      seeds_.push_back(seeds_[n]);
      continue;
    }
    worst = std::max(worst, error);
    for (int e = 0; e < entries(); ++e) {
      inverse_[static_cast<size_t>(e) * plain + n] =
          static_cast<float>(inverse[static_cast<size_t>(e)] / block_unit_);
    }
  }
  worst += std::sqrt(profile.block) / (2 * block_unit_);
  margin_ = static_cast<float>(2 * worst + worst * worst + 0x1p-20);

  std::sort(shortest_codes_.begin(), shortest_codes_.end(),
            [](const ShortestCode& a, const ShortestCode& b) {
              return a.norm != b.norm ? a.norm < b.norm : a.seed < b.seed;
            });

  ill_chunks_ = Chunks(ill.size());
  const size_t stride = static_cast<size_t>(ill_chunks_) * kChunk;
  seeds_.resize(plain + stride, 0);
  ill_basis_.resize(window * stride);
  for (size_t i = 0; i < ill.size(); ++i) {
    for (int c = 0; c < profile.block; ++c) {
      for (int p = 0; p < profile.rank; ++p) {
        ill_basis_[static_cast<size_t>(c * profile.rank + p) * stride + i] =
            static_cast<float>(ill[i].q[c][p] / block_unit_);
      }
    }
  }
}

const BoundTable& BoundTable::For(const codec::Profile& profile) {
  return PerProfile<BoundTable>(profile);
}

}  // namespace seedlm::search
