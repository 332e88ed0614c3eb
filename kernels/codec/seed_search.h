// The exact evaluation of one seed for one block: the single routine behind every backend, host and
// device. Searchers only decide which seeds are worth asking; this decides the bytes.
//
// Notation: A the C x P integer basis of the seed, A = Q R (thin QR), z = Q^T w, D = s A q the
// decoded weights before rounding, s the level. Then
//   |w - D|^2 = (|w|^2 - |z|^2) + |z - s R q|^2,
// so |w|^2 - |z|^2 bounds the error of every code of the seed from below, and the best coefficients
// of a level are a closest-vector search in P dimensions: fix q_{P-1}, then q_{P-2}, .., and leave
// when the terms so far exceed the best error known.
//
// Margins. The objective is computed on rounded decoded weights d = D (1 + e), |e| <= 2^-24, so a
// code whose computed error is <= best satisfies |w - D| <= (sqrt(best) + 2^-23 |w|)(1 + 2^-22)
// =: r (ErrorBudget returns r^2 plus 1e-12 |w|^2 for the cancellation in |w|^2 - |z|^2). Codes are
// pruned only beyond that; what is left is compared by its computed objective. The margins affect
// the time, never the result.
//
// Blocks above the highest level are bounded from the other side (LinearBound): there the
// coefficients end at -8 and 7 long before the projection is reached. Where they are so far above
// that float64 hardly tells codes apart, the computed objective itself is bounded (CanWin).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/codec/basis.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/host_device.h"
#include "kernels/codec/levels.h"
#include "kernels/codec/objective.h"
#include "kernels/codec/profile.h"

namespace seedlm::codec {

// Thin QR of a basis; r is upper triangular with a non-negative diagonal. A column that depends on
// the ones before it (45 seeds of the 4.5bit profile, none of the others) has a zero column in q
// and zeros in its row of r.
struct Factor {
  double q[kMaxBlock][kMaxRank];
  double r[kMaxRank][kMaxRank];
};

namespace internal {

// Takes the components along columns 0 .. p-1 out of `column`, adding them to r's column p.
SEEDLM_HD inline void Orthogonalise(const Profile& profile, int p, double* column, Factor& f) {
  for (int j = 0; j < p; ++j) {
    double dot = 0;
    for (int c = 0; c < profile.block; ++c) dot += f.q[c][j] * column[c];
    for (int c = 0; c < profile.block; ++c) column[c] -= dot * f.q[c][j];
    f.r[j][p] += dot;
  }
}

}  // namespace internal

// Modified Gram-Schmidt in float64, each column orthogonalised twice: "twice is enough" (Giraud et
// al. 2005) for condition numbers far beyond those that occur (2e5 for 4bit and 3bit; 2e9 for
// 4.5bit).
SEEDLM_HD inline Factor FactorBasis(const Profile& profile, const Basis& basis) {
  Factor f = {};
  for (int p = 0; p < profile.rank; ++p) {
    double column[kMaxBlock];
    double original = 0;
    for (int c = 0; c < profile.block; ++c) {
      column[c] = basis.at[c][p];
      original += column[c] * column[c];
    }
    internal::Orthogonalise(profile, p, column, f);
    internal::Orthogonalise(profile, p, column, f);
    double squared = 0;
    for (int c = 0; c < profile.block; ++c) squared += column[c] * column[c];
    if (squared <= 1e-24 * original) continue;
    f.r[p][p] = sqrt(squared);
    for (int c = 0; c < profile.block; ++c) f.q[c][p] = column[c] / f.r[p][p];
  }
  return f;
}

// z = Q^T w; returns |z|^2.
SEEDLM_HD inline double Project(const Profile& profile, const Factor& f, const float* weights,
                                double* z) {
  double squared = 0;
  for (int p = 0; p < profile.rank; ++p) {
    double dot = 0;
    for (int c = 0; c < profile.block; ++c) dot += f.q[c][p] * weights[c];
    z[p] = dot;
    squared += dot * dot;
  }
  return squared;
}

// A block and what every seed needs to know of it.
struct BlockTask {
  const float* weights;  // C
  double squared_norm;   // |w|^2 as the objective of the zero code computes it
};

SEEDLM_HD inline BlockTask MakeTask(const Profile& profile, const float* weights) {
  // Squares of float32 are exact in float64: fused or not, a step is the objective's. Where fma()
  // may be a call it is left out.
  double squared = 0;
  for (int c = 0; c < profile.block; ++c) {
    const double w = weights[c];
#if defined(__CUDA_ARCH__)
    squared = fma(w, w, squared);
#else
    squared += w * w;
#endif
  }
  return {weights, squared};
}

// No code whose computed error is <= `best` has |w - D|^2 above this. A seed can be left out when
// its |w|^2 - |z|^2 is above it.
SEEDLM_HD inline double ErrorBudget(double squared_norm, double best) {
  const double radius = (sqrt(best) + 0x1p-23 * sqrt(squared_norm)) * (1 + 0x1p-22);
  return radius * radius + 1e-12 * squared_norm;
}

// The code to begin with. kOptimal: the zero code; no code of equal error comes before it, so only
// a strictly smaller error can replace it. kNearest: every seed offers exactly one code, and the
// zero code is not always among them, so there is none yet.
SEEDLM_HD inline Candidate InitialCandidate(Fit fit, const BlockTask& task) {
  if (fit == Fit::kOptimal) return {task.squared_norm, 1, 0};
  return {HUGE_VAL, 0xFFFFFFFFu, 0xFFFFFFFFu};
}

SEEDLM_HD inline double LargestLevel(const LevelTable& levels) {
  double largest = 0;
  for (const float level : levels.scale) largest = fmax(largest, level);
  return largest;
}

// A block so far above the highest level that no code has a smaller objective than the zero code:
// |D_c| <= 2^20 s, and every step of the objective (the difference, the fused multiply-add) rounds
// monotonically, so smaller differences give the least value it can have.
SEEDLM_HD inline bool IsOutOfReach(const Profile& profile, const BlockTask& task,
                                   const LevelTable& levels) {
  const double longest = 0x1p20 * LargestLevel(levels);  // |S| <= 2^20
  double least = 0;
  for (int c = 0; c < profile.block; ++c) {
    const double d = fmax(fabs(static_cast<double>(task.weights[c])) - longest, 0.0);
    least = fma(d, d, least);
  }
  return least >= task.squared_norm;
}

// The least error that a seed can reach with coefficients in [-8, 7]: with y = A^T w,
//   |w - D|^2 >= |w|^2 - 2 s y.q >= |w|^2 - 2 s sum_p max(-8 y_p, 7 y_p).
// Margins: w.d exceeds w.D by at most 2^-24 |w| |D| <= 2^-24 |w| s 2^22 (see Enumerate), and
// float64 adds less than as much again. |w|^2 and the objective are sums of at most 16 terms with
// at most 2 roundings each before they are added, so each is within 19 2^-53 of the true one: 2^-47
// |w|^2.
class LinearBound {
 public:
  SEEDLM_HD LinearBound(const Profile& profile, const BlockTask& task, const Basis& basis)
      : squared_norm_(task.squared_norm), gain_(0x1p-23 * 0x1p22 * sqrt(task.squared_norm)) {
    for (int p = 0; p < profile.rank; ++p) {
      double y = 0;
      for (int c = 0; c < profile.block; ++c) y = fma(basis.at[c][p], double{task.weights[c]}, y);
      gain_ += fmax(kMinCoefficient * y, kMaxCoefficient * y);
    }
  }

  // No code of level scale `s` has a computed error below this.
  SEEDLM_HD double LeastError(double s) const {
    return squared_norm_ * (1 - kRounding) - 2 * s * gain_;
  }

  // The margin is no longer small beside what it has to tell apart: the block is some 2^37 times
  // above the level.
  SEEDLM_HD bool IsCoarse(double s) const {
    return squared_norm_ * (64 * kRounding) > 2 * s * gain_;
  }

 private:
  static constexpr double kRounding = 0x1p-47;
  double squared_norm_;
  double gain_;
};

namespace internal {

// The closest-vector search of one seed: all levels, all coefficients.
struct CoefficientSearch {
  const Profile& profile;
  const BlockTask& task;
  const LevelTable& levels;
  uint32_t seed;
  const Basis& basis;
  const Factor& factor;
  const double* z;
  double gap;  // |w|^2 - |z|^2
  Candidate& best;
  double inverse_diagonal[kMaxRank];  // 1 / R_pp, 0 where that is 0
  double radius;                      // largest |z - s R q| that can still matter; < 0: none
  bool coarse;                        // float64 blurs `radius`: ask CanWin at every step

  SEEDLM_HD void Prepare() {
    for (int p = 0; p < profile.rank; ++p) {
      inverse_diagonal[p] = factor.r[p][p] > 0 ? 1 / factor.r[p][p] : 0;
    }
    UpdateRadius();
  }

  SEEDLM_HD void UpdateRadius() {
    const double left = ErrorBudget(task.squared_norm, best.error) - gap;
    radius = left < 0 ? -1 : sqrt(left);
  }

  // z_p - s sum_{j>p} R_pj q_j, what coefficient p has to meet.
  SEEDLM_HD double Offset(int p, double s, const int* q) const {
    double sum = 0;
    for (int j = p + 1; j < profile.rank; ++j) sum += factor.r[p][j] * q[j];
    return z[p] - s * sum;
  }

  // Rounds coefficient by coefficient, top down (Babai's point): |z - s R q|^2 of a good guess.
  SEEDLM_HD double Guess(double s, int* q) const {
    const double inverse_s = 1 / s;
    double squared = 0;
    for (int p = profile.rank - 1; p >= 0; --p) {
      const double offset = Offset(p, s, q);
      const double rounded = rint(offset * inverse_diagonal[p] * inverse_s);
      q[p] = static_cast<int>(fmin(fmax(rounded, kMinCoefficient), kMaxCoefficient));
      const double residual = offset - s * factor.r[p][p] * q[p];
      squared += residual * residual;
    }
    return squared;
  }

  // Compares the best guess over all levels, so that the enumeration starts with a small radius.
  SEEDLM_HD void TryGuesses() {
    double least = HUGE_VAL;
    int level = -1;
    int q[kMaxRank] = {}, guess[kMaxRank] = {};
    for (int i = 0; i < kLevels; ++i) {
      const double squared = Guess(levels.scale[static_cast<size_t>(i)], guess);
      if (!(squared < least)) continue;
      least = squared;
      level = i;
      for (int p = 0; p < kMaxRank; ++p) q[p] = guess[p];
    }
    if (level >= 0) Compare(level, q);
  }

  // Whether a code of level scale `s` with the coefficients q_p, q_{p+1}, .. can replace the best.
  // The least value its objective can compute to, without a margin (see IsOutOfReach): each decoded
  // weight goes as far towards the block's as the coefficients below p can take it.
  SEEDLM_HD bool CanWin(float s, int p, const int* q) const {
    double least = 0;
    for (int c = 0; c < profile.block; ++c) {
      const float w = task.weights[c];
      int32_t furthest = 0;
      for (int j = 0; j < profile.rank; ++j) {
        const int32_t a = w < 0 ? -basis.at[c][j] : basis.at[c][j];
        const int towards = a < 0 ? kMinCoefficient : kMaxCoefficient;
        furthest += a * (j < p ? towards : q[j]);
      }
      const double decoded = static_cast<float>(furthest) * s;
      const double d = fmax(fabs(static_cast<double>(w)) - decoded, 0.0);
      least = fma(d, d, least);
    }
    return least < best.error || (least == best.error && seed <= best.seed);
  }

  // Compares one code by the objective itself.
  SEEDLM_HD void Compare(int level, const int* q) {
    BlockCode code;
    code.level = static_cast<uint8_t>(level);
    for (int p = 0; p < kMaxRank; ++p) code.q[p] = static_cast<int8_t>(q[p]);
    const float scale = levels.scale[static_cast<size_t>(level)];
    const Candidate candidate{BlockError(profile, task.weights, basis, code.q, scale), seed,
                              Remainder(profile, code)};
    if (!Better(candidate, best)) return;
    best = candidate;
    UpdateRadius();
  }

  // Depth first over all coefficients of a level within the radius. z and s R q carry rounding
  // errors of some 1e-15 (|w| + s 2^22), 2^22 >= P * 8 * |a column of A|: `slack` covers them.
  SEEDLM_HD void Enumerate(int level) {
    const double s = levels.scale[static_cast<size_t>(level)];
    const double inverse_s = 1 / s;
    const double slack = 1e-14 * (sqrt(task.squared_norm) + s * 0x1p22);
    const int top = profile.rank - 1;
    double offset[kMaxRank] = {};
    double above[kMaxRank + 1] = {};  // squared residuals of the coefficients above
    int q[kMaxRank] = {}, high[kMaxRank] = {};
    int p = top;
    offset[p] = z[p];
    SetRange(offset[p], inverse_diagonal[p] * inverse_s, radius + slack, q[p], high[p]);
    while (radius >= 0) {
      if (q[p] > high[p]) {
        if (p == top) return;
        ++q[++p];
        continue;
      }
      const double limit = (radius + slack) * (radius + slack);
      const double residual = offset[p] - s * factor.r[p][p] * q[p];
      const double squared = above[p + 1] + residual * residual;
      if (squared > limit || (coarse && !CanWin(levels.scale[static_cast<size_t>(level)], p, q))) {
        ++q[p];
      } else if (p == 0) {
        Compare(level, q);
        ++q[0];
      } else {
        above[p] = squared;
        --p;
        offset[p] = Offset(p, s, q);
        SetRange(offset[p], inverse_diagonal[p] * inverse_s, sqrt(limit - squared), q[p], high[p]);
      }
    }
  }

  // Enumerate, where the level can hold anything better.
  SEEDLM_HD void TryLevel(int level, const LinearBound& bound) {
    const float s = levels.scale[static_cast<size_t>(level)];
    if (bound.LeastError(s) > best.error) return;
    coarse = bound.IsCoarse(s);
    if (coarse && !CanWin(s, profile.rank, nullptr)) return;
    Enumerate(level);
  }

  // The integers q in [-8, 7] with |offset - q / inverse_step| <= reach, or a few more.
  SEEDLM_HD static void SetRange(double offset, double inverse_step, double reach, int& low,
                                 int& high) {
    low = kMinCoefficient;
    high = kMaxCoefficient;
    if (!(inverse_step > 0)) return;
    const double from = (offset - reach) * inverse_step - 1e-6;
    const double to = (offset + reach) * inverse_step + 1e-6;
    if (from > low) low = from > high ? high + 1 : static_cast<int>(ceil(from));
    if (to < high) high = to < kMinCoefficient ? kMinCoefficient - 1 : static_cast<int>(floor(to));
  }
};

// The paper's rule for one seed: t = pinv(U) w, a common exponent that lets the largest coefficient
// fill its four bits, rounding to nearest even. Where the basis has dependent columns, t is the
// solution without them.
SEEDLM_HD inline Candidate NearestCode(const Profile& profile, const BlockTask& task,
                                       const LevelTable& levels, uint32_t seed, const Basis& basis,
                                       const Factor& f, const double* z) {
  double t[kMaxRank] = {};
  double largest = 0;
  for (int p = profile.rank - 1; p >= 0; --p) {
    double rest = z[p];
    for (int j = p + 1; j < profile.rank; ++j) rest -= f.r[p][j] * t[j];
    t[p] = f.r[p][p] > 0 ? rest / f.r[p][p] : 0;
  }
  for (int p = 0; p < profile.rank; ++p) {
    t[p] *= profile.unit();
    largest = fmax(largest, fabs(t[p]));
  }
  const int floor_exponent = levels.bias + kMinCoefficient;
  const int top_exponent = levels.bias + kMaxCoefficient;
  int exponent = largest > 0 ? ilogb(largest) - 2 : floor_exponent;
  exponent = exponent < floor_exponent ? floor_exponent : exponent;
  exponent = exponent > top_exponent ? top_exponent : exponent;
  BlockCode code;
  code.level = static_cast<uint8_t>((exponent - levels.bias) & 15);
  for (int p = 0; p < profile.rank; ++p) {
    const double rounded = rint(ldexp(t[p], -exponent));
    code.q[p] = static_cast<int8_t>(fmin(fmax(rounded, kMinCoefficient), kMaxCoefficient));
  }
  const double error = BlockError(profile, task.weights, basis, code.q, levels.scale[code.level]);
  return {error, seed, Remainder(profile, code)};
}

}  // namespace internal

// Replaces `best` by the best code of `seed` if that is better. For kOptimal over all levels and
// coefficients; for kNearest the one code of the rule. REQUIRES: kNearest only with kPaper, kPow2.
SEEDLM_HD inline void EvaluateSeed(const Profile& profile, Fit fit, const BlockTask& task,
                                   const LevelTable& levels, uint32_t seed, const Basis& basis,
                                   const Factor& factor, Candidate& best) {
  double z[kMaxRank] = {};
  const double projected = Project(profile, factor, task.weights, z);
  const double gap = task.squared_norm - projected;
  if (gap > ErrorBudget(task.squared_norm, best.error)) return;
  if (fit == Fit::kNearest) {
    const Candidate candidate =
        internal::NearestCode(profile, task, levels, seed, basis, factor, z);
    if (Better(candidate, best)) best = candidate;
    return;
  }
  const LinearBound bound(profile, task, basis);
  if (bound.LeastError(LargestLevel(levels)) > best.error) return;
  internal::CoefficientSearch search{profile, task, levels, seed, basis, factor,
                                     z,       gap,  best,   {},   0,     false};
  search.Prepare();
  search.TryGuesses();
  for (int level = 0; level < kLevels; ++level) search.TryLevel(level, bound);
}

// kOptimal: whether no code of `stored`'s seed is better than it is. Its error is the radius to
// begin with, so that there is no guessing, and the first level with a better code ends the search.
SEEDLM_HD inline bool IsBestOfSeed(const Profile& profile, const BlockTask& task,
                                   const LevelTable& levels, const Basis& basis,
                                   const Candidate& stored) {
  const Factor factor = FactorBasis(profile, basis);
  double z[kMaxRank] = {};
  const double gap = task.squared_norm - Project(profile, factor, task.weights, z);
  const LinearBound bound(profile, task, basis);
  Candidate best = stored;
  internal::CoefficientSearch search{profile, task, levels, stored.seed, basis, factor,
                                     z,       gap,  best,   {},          0,     false};
  search.Prepare();
  for (int level = 0; level < kLevels; ++level) {
    search.TryLevel(level, bound);
    if (best.remainder != stored.remainder) return false;
  }
  return true;
}

SEEDLM_HD inline void EvaluateSeed(const Profile& profile, Fit fit, const BlockTask& task,
                                   const LevelTable& levels, uint32_t seed, Candidate& best) {
  const Basis basis = MakeBasis(profile, seed);
  EvaluateSeed(profile, fit, task, levels, seed, basis, FactorBasis(profile, basis), best);
}

}  // namespace seedlm::codec
