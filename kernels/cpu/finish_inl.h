// Finishing for one instruction set; included once for each by Highway's foreach_target.
//
// A seed's codes are searched on all levels at once, a level a lane: fix q_{P-1}, then q_{P-2}, ..,
// and leave a lane when the terms so far exceed its limit. float32 only decides which codes are
// compared by the objective; no code that could win is left out:
//
// Rounding, in units of |w| (eps = 2^-24). u is within eps of w / |w|; each z_p, a float32 dot
// product with a row of norm 1 whose entries are rounded, is within (C + 3) eps, so z is within
// 2^-18 and the gap 1 - |z|^2 within 2^-17 + 8 eps. A residual z_p - sigma sum_j R_pj q_j picks up
// at most eps (P + 5) 8 sigma sum_j |R_pj| + 2 eps |z_p|; as a vector, with the error of z, less
// than
//   e = 2^-17 (1 + sigma sum_j |a_j|)                          FinishTask::residual_error.
// A code that can win has F <= L := ErrorBudget / |w|^2, hence an exact residual of norm
// <= sqrt(L), and its computed gap + |residual|^2 is at most
//   L + 2^-16 + 2 e sqrt(L) + e^2 + 2^-20 L,
// which is the limit. (2^-16 also covers the rounding of the limit itself, which is computed from
// best / |w|^2; partial sums never exceed the whole, as rounded addition of something non-negative
// is monotonic.) The range of a coefficient is widened by 1e-4 and by 2^-20 of the numbers it is
// computed from.
//
// The other way round, a code whose computed gap + |residual|^2 is f has an exact F of at most
//   f + 2^-16 + 2 e sqrt(f) + e^2,
// its objective, on rounded decoded weights, and that one's ErrorBudget exceed it by less than
// 2^-18 F + 2^-20. So what such a code can only improve on is known before its objective is, and
// the search begins with a limit that is nearly the final one (Guess).
#if defined(SEEDLM_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_FINISH_INL_H_
#undef SEEDLM_FINISH_INL_H_
#else
#define SEEDLM_FINISH_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "hwy/highway.h"
#include "kernels/codec/objective.h"
#include "kernels/codec/shape.h"
#include "kernels/cpu/finish.h"

HWY_BEFORE_NAMESPACE();
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <int C, int P>
class Finisher {
  using D = hn::CappedTag<float, codec::kLevels>;
  using V = hn::Vec<D>;
  using M = hn::Mask<D>;
  static constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  static constexpr codec::Profile kProfile{"", C, P, 16};
  static constexpr int kMaxSeeds = 16;   // whose guesses are compared before any is searched
  static constexpr int kMaxLeaves = 64;  // codes that wait for the objective
  // Above this limit a good guess saves more of the search than it costs: no code is known yet.
  static constexpr float kTight = 0.25f;

 public:
  Finisher(const FinishTask& task, codec::Candidate& best) : task_(task), best_(best) {
    UpdateLimit();
  }

  void Run(const uint32_t* seeds, int count) {
    for (; count > 0; seeds += kMaxSeeds, count -= kMaxSeeds) RunSome(seeds, count);
  }

 private:
  struct Seed {
    uint32_t seed;
    float gap;
    float z[P];
    const float* r;  // upper triangle row by row, then 1 / R_pp
  };
  struct Code {
    float excess;  // computed |residual|^2 less the level's limit
    int level;
    int8_t q[codec::kMaxRank];
  };

  HWY_INLINE void RunSome(const uint32_t* seeds, int count) {
    Seed kept[kMaxSeeds];
    int kept_count = 0;
    const bool guess_first = limit_ > kTight;
    float least = limit_;
    for (int i = 0; i < count && i < kMaxSeeds; ++i) {
      Seed& seed = kept[kept_count];
      Project(seeds[i], seed);
      if (seed.gap > limit_ + 0x1p-16f) continue;
      ++kept_count;
      if (guess_first && IsPlain(seed)) least = std::min(least, Guess(seed));
    }
    // The seed with the best guess is searched below: its code, or a better one, will be `best_`.
    if (least < limit_) SetLimit(least);
    for (int i = 0; i < kept_count; ++i) {
      if (IsPlain(kept[i])) Search(kept[i]);
    }
    // The others take ten times as long, and have the lowest limit to meet.
    for (int i = 0; i < kept_count; ++i) {
      if (IsPlain(kept[i]) || kept[i].gap > limit_ + 0x1p-16f) continue;
      EvaluateExactly(kept[i].seed);
      UpdateLimit();
    }
  }

  // Not one for EvaluateExactly.
  HWY_INLINE bool IsPlain(const Seed& seed) const {
    return task_.in_range && task_.seeds->sound(seed.seed);
  }

  // For seeds that are not sound, and blocks whose levels leave the range of float32.
  // Flattened, so that the codec's fma() is an instruction here and not a call.
  HWY_FLATTEN void EvaluateExactly(uint32_t seed) {
    const codec::Basis basis = LoadBasis(seed);
    const bool sound = task_.seeds->sound(seed);
    codec::EvaluateSeed(
        *task_.profile, codec::Fit::kOptimal, task_.block, *task_.levels, seed, basis,
        sound ? codec::FactorBasis(*task_.profile, basis) : task_.seeds->exact_factor(seed), best_);
  }

  HWY_INLINE void UpdateLimit() {
    SetLimit(static_cast<float>(codec::ErrorBudget(1, best_.error * task_.inverse_squared_norm)));
  }
  HWY_INLINE void SetLimit(float limit) {
    limit_ = limit;
    root_ = std::sqrt(limit);
  }

  HWY_INLINE void Project(uint32_t index, Seed& seed) const {
    const hn::CappedTag<float, 4> d;
    const float* q = task_.seeds->factor(index);
    seed.seed = index;
    seed.gap = 1;
    HWY_UNROLL(4)
    for (int p = 0; p < P; ++p) {
      auto sum = hn::Zero(d);
      HWY_UNROLL(16)
      for (size_t c = 0; c < C; c += hn::Lanes(d)) {
        sum = hn::MulAdd(hn::LoadU(d, q + p * C + c), hn::LoadU(d, task_.unit + c), sum);
      }
      seed.z[p] = hn::GetLane(hn::SumOfLanes(d, sum));
      seed.gap -= seed.z[p] * seed.z[p];
    }
    seed.r = q + P * C;
  }

  // R_pj of the triangle.
  static HWY_INLINE float At(const Seed& seed, int p, int j) {
    return seed.r[p * P - p * (p - 1) / 2 + (j - p)];
  }
  static HWY_INLINE float InverseDiagonal(const Seed& seed, int p) {
    return seed.r[P * (P + 1) / 2 + p];
  }

  // z_p - sigma sum_{j > p} R_pj q_j.
  static HWY_INLINE V Offset(const Seed& seed, int p, V sigma, const V* q) {
    const D d;
    if (p == P - 1) return hn::Set(d, seed.z[p]);
    V sum = hn::Mul(hn::Set(d, At(seed, p, P - 1)), q[P - 1]);
    for (int j = P - 2; j > p; --j) sum = hn::MulAdd(hn::Set(d, At(seed, p, j)), q[j], sum);
    return hn::NegMulAdd(sigma, sum, hn::Set(d, seed.z[p]));
  }

  // Rounds coefficient by coefficient, top down, on all levels. Returns a limit that the best of
  // these codes keeps to: no code can win that does not.
  HWY_INLINE float Guess(const Seed& seed) const {
    const D d;
    V least = hn::Set(d, HUGE_VALF);
    for (int first = 0; first < codec::kLevels; first += kLanes) {
      const V sigma = hn::LoadU(d, task_.sigma + first);
      const V inverse_sigma = hn::LoadU(d, task_.inverse_sigma + first);
      V q[P];
      V found = hn::Set(d, std::max(seed.gap, 0.0f));
      HWY_UNROLL(4)
      for (int p = P - 1; p >= 0; --p) {
        const V offset = Offset(seed, p, sigma, q);
        const V inverse = hn::Mul(inverse_sigma, hn::Set(d, InverseDiagonal(seed, p)));
        q[p] = hn::Round(Clamp(hn::Mul(offset, inverse)));
        const V step = hn::Mul(sigma, hn::Set(d, At(seed, p, p)));
        const V residual = hn::NegMulAdd(step, q[p], offset);
        found = hn::MulAdd(residual, residual, found);
      }
      const V root = hn::Sqrt(hn::ZeroIfNegative(found));
      const V error = ResidualError(sigma);
      found = hn::MulAdd(error, hn::MulAdd(root, hn::Set(d, 2.0f), error), found);
      least = hn::Min(least, found);
    }
    const float found = hn::GetLane(hn::MinOfLanes(d, least));
    return (found + 0x1p-16f) * (1 + 0x1p-17f) + 0x1p-19f;
  }

  // e of the above.
  static HWY_INLINE V ResidualError(V sigma) {
    const D d;
    // The sum over j of |a_j|, the columns of A: entries are below 2^15.
    constexpr float kRootOfBlock = C == 8 ? 2.83f : C == 12 ? 3.47f : 4.0f;
    constexpr float kColumns = P * kRootOfBlock * 0x1p15f;
    return hn::MulAdd(sigma, hn::Set(d, 0x1p-17f * kColumns), hn::Set(d, 0x1p-17f));
  }

  static HWY_INLINE V Clamp(V q) {
    const D d;
    return hn::Min(hn::Max(q, hn::Set(d, codec::kMinCoefficient)),
                   hn::Set(d, codec::kMaxCoefficient));
  }

  // All codes of a seed that can win.
  HWY_INLINE void Search(const Seed& seed) {
    const D d;
    if (seed.gap > limit_ + 0x1p-16f) return;
    leaves_ = 0;
    for (int first = 0; first < codec::kLevels; first += kLanes) {
      const V error = ResidualError(hn::LoadU(d, task_.sigma + first));
      const float base = limit_ * (1 + 0x1p-20f) + 0x1p-16f - seed.gap;
      Lanes lanes;
      lanes.first = first;
      lanes.limit = hn::MulAdd(error, hn::Add(hn::Set(d, 2 * root_), error), hn::Set(d, base));
      lanes.sigma = hn::LoadU(d, task_.sigma + first);
      lanes.inverse_sigma = hn::LoadU(d, task_.inverse_sigma + first);
      Descend<P - 1>(seed, lanes, hn::Zero(d));
    }
    Compare(seed, leaves_);
  }

  struct Lanes {
    // Written out, as an implicit one would not be compiled for this instruction set (NEON).
    HWY_INLINE Lanes() {}

    int first;  // level of lane 0
    V limit, sigma, inverse_sigma;
    V q[P];
  };

  template <int p>
  HWY_INLINE void Descend(const Seed& seed, Lanes& lanes, V above) {
    const D d;
    const V rest = hn::Sub(lanes.limit, above);
    const V offset = Offset(seed, p, lanes.sigma, lanes.q);
    const V inverse = hn::Mul(lanes.inverse_sigma, hn::Set(d, InverseDiagonal(seed, p)));
    const V centre = hn::Mul(offset, inverse);
    const V reach = hn::Mul(hn::Sqrt(hn::ZeroIfNegative(rest)), inverse);
    const V slack = hn::MulAdd(hn::Add(hn::Abs(centre), reach), hn::Set(d, 0x1p-20f),
                               hn::Add(reach, hn::Set(d, 1e-4f)));
    const V low = hn::Max(hn::Ceil(hn::Sub(centre, slack)), hn::Set(d, codec::kMinCoefficient));
    V high = hn::Min(hn::Floor(hn::Add(centre, slack)), hn::Set(d, codec::kMaxCoefficient));
    high = hn::IfThenElse(hn::Ge(rest, hn::Zero(d)), high, hn::Set(d, codec::kMinCoefficient - 1));
    const V step = hn::Mul(lanes.sigma, hn::Set(d, At(seed, p, p)));
    V& q = lanes.q[p];
    for (q = low;; q = hn::Add(q, hn::Set(d, 1.0f))) {
      const M active = hn::Le(q, high);
      if (hn::AllFalse(d, active)) return;
      const V residual = hn::NegMulAdd(step, q, offset);
      const V squared = hn::MulAdd(residual, residual, above);
      const M inside = hn::And(active, hn::Le(squared, lanes.limit));
      if (hn::AllFalse(d, inside)) continue;
      if constexpr (p > 0) {
        Descend<p - 1>(seed, lanes, hn::IfThenElse(inside, squared, hn::Set(d, HUGE_VALF)));
      } else {
        Append(seed, lanes, inside, squared);
      }
    }
  }

  HWY_INLINE void Append(const Seed& seed, const Lanes& lanes, M inside, V squared) {
    const D d;
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, inside, bytes);
    uint32_t bits = bytes[0] | static_cast<uint32_t>(bytes[1]) << 8;
    for (; bits != 0; bits &= bits - 1) {
      if (leaves_ == kMaxLeaves) {
        Compare(seed, leaves_);
        leaves_ = 0;
      }
      const int lane = static_cast<int>(hwy::Num0BitsBelowLS1Bit_Nonzero32(bits));
      Read(lanes, lane, squared, codes_[leaves_++]);
    }
  }

  static HWY_INLINE void Read(const Lanes& lanes, int lane, V squared, Code& code) {
    const D d;
    HWY_ALIGN float values[codec::kLevels];
    hn::Store(hn::Sub(squared, lanes.limit), d, values);
    code.excess = values[lane];
    code.level = lanes.first + lane;
    HWY_UNROLL(4)
    for (int p = 0; p < codec::kMaxRank; ++p) {
      if (p < P) hn::Store(lanes.q[p < P ? p : 0], d, values);
      code.q[p] = p < P ? static_cast<int8_t>(values[lane]) : int8_t{0};
    }
  }

  HWY_INLINE codec::Basis LoadBasis(uint32_t seed) const {
    codec::Basis basis;
    const int16_t* a = task_.seeds->basis(seed);
    for (int c = 0; c < C; ++c) {
      for (int p = 0; p < P; ++p) basis.at[c][p] = *a++;
    }
    return basis;
  }

  // Compares the first `count` of codes_ by the objective itself, the most promising first: most of
  // the others are beyond the new limit then. Lowering the limit by some amount lowers every
  // level's by as much and more.
  HWY_INLINE void Compare(const Seed& seed, int count) {
    if (count == 0) return;
    int first = 0;
    for (int i = 1; i < count; ++i) {
      if (codes_[i].excess < codes_[first].excess) first = i;
    }
    std::swap(codes_[0], codes_[first]);
    const codec::Basis basis = LoadBasis(seed.seed);
    const float limit = limit_;  // that `excess` speaks of
    for (int i = 0; i < count; ++i) {
      if (codes_[i].excess > (limit_ - limit) + 0x1p-20f) continue;
      codec::BlockCode code;
      code.level = static_cast<uint8_t>(codes_[i].level);
      for (int p = 0; p < P; ++p) code.q[p] = codes_[i].q[p];
      const double error = codec::BlockError(kProfile, task_.block.weights, basis, code.q,
                                             task_.levels->scale[code.level]);
      const codec::Candidate candidate{error, seed.seed, codec::Remainder(kProfile, code)};
      if (!codec::Better(candidate, best_)) continue;
      best_ = candidate;
      UpdateLimit();
    }
  }

  const FinishTask& task_;
  codec::Candidate& best_;
  float limit_ = 0;  // L: no code with F above it can win
  float root_ = 0;   // sqrt(L)
  int leaves_ = 0;
  Code codes_[kMaxLeaves];
};

inline void AnyFinish(const FinishTask& task, const uint32_t* seeds, int count,
                      codec::Candidate& best) {
  codec::WithShape(*task.profile, [&](auto shape) {
    Finisher<shape.kBlock, shape.kRank>(task, best).Run(seeds, count);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
