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
//   e = 2^-17 (1 + sigma sum_j |a_j|)                          ResidualError.
// A code that can win has F <= L := ErrorBudget / |w|^2, hence an exact residual of norm
// <= sqrt(L), and its computed gap + |residual|^2 is at most
//   L + 2^-16 + 2 e sqrt(L) + e^2 + 2^-20 L,
// which is the limit. (2^-16 also covers the rounding of the limit itself, which is computed from
// best / |w|^2; partial sums never exceed the whole, as rounded addition of something non-negative
// is monotonic.)
//
// Which values of a coefficient keep to it. As rounding is monotonic, the computed |residual|^2
// falls with q_p towards its least and grows behind it; the least is at one of the two integers
// next to the quotient of the computed offset and step. That quotient is computed within 2^-18
// where it is in the range of coefficients. So a search outwards from it may end, on each side, at
// the first value that is beyond the limits of all lanes, and so may a pair that begins at its
// floor (Near). Where the range is computed with a root (Descend), it is widened by 1e-4 and by
// 2^-20 of the numbers it is computed from.
//
// The other way round, a code whose computed gap + |residual|^2 is f has an exact F of at most
//   f + 2^-16 + 2 e sqrt(f) + e^2,
// its objective, on rounded decoded weights, and that one's ErrorBudget exceed it by less than
// 2^-18 F + 2^-20. So what such a code can only improve on is known before its objective is, and
// the limit is lowered to that at once (LimitBy). The code itself keeps to the new limit, as its F
// is below it, and is compared like the others. On levels that were lowered (FinishTask::sigma) the
// f of a code that is not zero is no real code's, but above 1.2^2, and lowers nothing: the zero
// code keeps the limit near 1.
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

// Instrumented for sanitizers and in one piece, the search takes clang a quarter of an hour.
#undef SEEDLM_STEP
#ifdef SEEDLM_SANITIZED
#define SEEDLM_STEP HWY_NOINLINE
#else
#define SEEDLM_STEP HWY_INLINE
#endif

HWY_BEFORE_NAMESPACE();
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <int C, int P>
HWY_INLINE codec::Basis LoadBasis(const search::SeedTable& seeds, uint32_t seed) {
  codec::Basis basis;
  const int16_t* a = seeds.basis(seed);
  for (int c = 0; c < C; ++c) {
    for (int p = 0; p < P; ++p) basis.at[c][p] = *a++;
  }
  return basis;
}

template <int C, int P>
class Finisher {
  using D = hn::CappedTag<float, codec::kLevels>;
  using V = hn::Vec<D>;
  using M = hn::Mask<D>;
  static constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
  static constexpr int kMaxSeeds = 16;  // that are projected before any is searched
  static constexpr int kMaxLeaves = 8;  // codes that wait for the objective
  // Of two values on different sides the one that is further off by a step has the larger
  // |residual|^2, but for so much, as it is not known within 2^-18 where the middle is.
  static constexpr float kGrows = 1 - 0x1p-14f;

 public:
  static constexpr codec::Profile kProfile{"", C, P, 16};

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
    for (int i = 0; i < count && i < kMaxSeeds; ++i) {
      Seed& seed = kept[kept_count];
      Project(seeds[i], seed);
      if (seed.gap <= limit_ + 0x1p-16f) ++kept_count;
    }
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
    const codec::Basis basis = LoadBasis<C, P>(*task_.seeds, seed);
    const bool sound = task_.seeds->sound(seed);
    codec::EvaluateSeed(
        *task_.profile, codec::Fit::kOptimal, task_.block, *task_.levels, seed, basis,
        sound ? codec::FactorBasis(*task_.profile, basis) : task_.seeds->exact_factor(seed), best_);
  }

  HWY_INLINE void UpdateLimit() {
    const double error = best_.error * task_.inverse_squared_norm;
    const float limit = static_cast<float>(codec::ErrorBudget(1, error));
    if (limit < limit_) SetLimit(limit);
  }
  HWY_INLINE void SetLimit(float limit) {
    limit_ = limit;
    root_ = std::sqrt(limit);
  }

  SEEDLM_STEP void Project(uint32_t index, Seed& seed) const {
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

  struct Lanes {
    // Written out, as an implicit one would not be compiled for this instruction set (NEON).
    HWY_INLINE Lanes() {}

    int first;  // level of lane 0
    V limit, sigma, inverse_sigma;
    V q[P];
  };

  // The values of q_p for given q_{P-1} .. q_{p+1}.
  template <int p>
  struct Steps {
    HWY_INLINE Steps(const Seed& seed, const Lanes& lanes) {
      const D d;
      offset = Offset(seed, p, lanes.sigma, lanes.q);
      step = hn::Mul(lanes.sigma, hn::Set(d, At(seed, p, p)));
      inverse = hn::Mul(lanes.inverse_sigma, hn::Set(d, InverseDiagonal(seed, p)));
      centre = hn::Mul(offset, inverse);
    }
    // |residual|^2 with q_p = q. As rounding is monotonic, it falls towards its least and grows
    // from there on.
    HWY_INLINE V Squared(V q, V above) const {
      const V residual = hn::NegMulAdd(step, q, offset);
      return hn::MulAdd(residual, residual, above);
    }

    V offset, step, inverse;
    V centre;  // the real solution
  };

  static HWY_INLINE V Clamp(V q) {
    const D d;
    return hn::Min(hn::Max(q, hn::Set(d, codec::kMinCoefficient)),
                   hn::Set(d, codec::kMaxCoefficient));
  }
  static HWY_INLINE V InRange(V q, V squared) {
    return hn::IfThenElse(hn::Eq(q, Clamp(q)), squared, hn::Set(D(), HUGE_VALF));
  }

  // What a choice of q_{P-1} leads to on the levels of a vector, without a branch: of the other
  // coefficients two values next to the real solution, of the last one the better of them.
  struct Near {
    static constexpr int kPaths = 1 << (P - 2);

    HWY_INLINE Near() : left_out(hn::Set(D(), HUGE_VALF)) {}

    V squared[kPaths];  // |residual|^2
    V codes[kPaths];    // sum of q_p 16^p
    V left_out;         // other codes have at least kGrows times this, as far as they go
  };

  // `code`: of q_{P-1} .. q_{p+1}.
  template <int p, int path>
  static SEEDLM_STEP void Follow(const Seed& seed, Lanes& lanes, V code, V above, Near& near) {
    const D d;
    const V one = hn::Set(d, 1.0f), most = hn::Set(d, HUGE_VALF);
    const V least = hn::Set(d, codec::kMinCoefficient);
    const V last_pair = hn::Set(d, codec::kMaxCoefficient - 1);
    const Steps<p> steps(seed, lanes);
    const V low = hn::Min(hn::Max(hn::Floor(steps.centre), least), last_pair);
    const V high = hn::Add(low, one);
    const V low_squared = steps.Squared(low, above), high_squared = steps.Squared(high, above);
    const V shifted = hn::Mul(code, hn::Set(d, 16.0f));
    if constexpr (p == 0) {
      const V better = hn::IfThenElse(hn::Le(low_squared, high_squared), low, high);
      near.squared[path] = hn::Min(low_squared, high_squared);
      near.codes[path] = hn::Add(shifted, better);
      near.left_out = hn::Min(near.left_out, hn::Max(low_squared, high_squared));
    } else {
      const V below = steps.Squared(hn::Sub(low, one), above);
      const V beyond = steps.Squared(hn::Add(high, one), above);
      near.left_out = hn::Min(near.left_out, hn::IfThenElse(hn::Eq(low, least), most, below));
      near.left_out = hn::Min(near.left_out, hn::IfThenElse(hn::Eq(low, last_pair), most, beyond));
      lanes.q[p] = low;
      Follow<p - 1, 2 * path>(seed, lanes, hn::Add(shifted, low), low_squared, near);
      lanes.q[p] = high;
      Follow<p - 1, 2 * path + 1>(seed, lanes, hn::Add(shifted, high), high_squared, near);
    }
  }

  // A limit that the best code with one of these |residual|^2 keeps to.
  SEEDLM_STEP float LimitBy(const Seed& seed, V squared, V sigma) const {
    const D d;
    const V found = hn::Add(squared, hn::Set(d, std::max(seed.gap, 0.0f)));
    const V root = hn::Sqrt(hn::ZeroIfNegative(found));
    const V error = ResidualError(sigma);
    const V most = hn::MulAdd(error, hn::MulAdd(root, hn::Set(d, 2.0f), error), found);
    const float least = hn::GetLane(hn::MinOfLanes(d, most));
    return (least + 0x1p-16f) * (1 + 0x1p-17f) + 0x1p-19f;
  }

  // e of the above.
  static HWY_INLINE V ResidualError(V sigma) {
    const D d;
    // The sum over j of |a_j|, the columns of A: entries are below 2^15.
    constexpr float kRootOfBlock = C == 8 ? 2.83f : C == 12 ? 3.47f : 4.0f;
    constexpr float kColumns = P * kRootOfBlock * 0x1p15f;
    return hn::MulAdd(sigma, hn::Set(d, 0x1p-17f * kColumns), hn::Set(d, 0x1p-17f));
  }

  // What |residual|^2 of a code that can win keeps to.
  HWY_INLINE V LimitOf(const Seed& seed, V sigma) const {
    const D d;
    const V error = ResidualError(sigma);
    const float base = limit_ * (1 + 0x1p-20f) + 0x1p-16f - seed.gap;
    return hn::MulAdd(error, hn::Add(hn::Set(d, 2 * root_), error), hn::Set(d, base));
  }

  // All codes of a seed that can win.
  HWY_INLINE void Search(const Seed& seed) {
    if (seed.gap > limit_ + 0x1p-16f) return;
    leaves_ = 0;
    for (int first = 0; first < codec::kLevels; first += kLanes) SearchLevels(seed, first);
    Compare(seed, leaves_);
  }

  SEEDLM_STEP void SearchLevels(const Seed& seed, int first) {
    const D d;
    Lanes lanes;
    lanes.first = first;
    lanes.sigma = hn::LoadU(d, task_.sigma + first);
    lanes.inverse_sigma = hn::LoadU(d, task_.inverse_sigma + first);
    lanes.limit = LimitOf(seed, lanes.sigma);
    const Steps<P - 1> steps(seed, lanes);
    const V nearest = hn::Round(Clamp(steps.centre));
    SearchBelow(seed, lanes, nearest, steps.Squared(nearest, hn::Zero(d)));
    // On the side of the second nearest, then on the other one, until no level is within its limit.
    V by = hn::CopySignToAbs(hn::Set(d, 1.0f), hn::NegMulAdd(steps.step, nearest, steps.offset));
    for (int side = 0; side < 2; ++side, by = hn::Neg(by)) {
      for (V q = hn::Add(nearest, by);; q = hn::Add(q, by)) {
        const V squared = InRange(q, steps.Squared(q, hn::Zero(d)));
        if (hn::AllFalse(d, hn::Le(squared, lanes.limit))) break;
        SearchBelow(seed, lanes, q, squared);
      }
    }
  }

  // All codes with q_{P-1} = q that can win; the limit falls to what the best of them can reach.
  SEEDLM_STEP void SearchBelow(const Seed& seed, Lanes& lanes, V q, V squared) {
    const D d;
    lanes.q[P - 1] = q;
    Near near;
    Follow<P - 2, 0>(seed, lanes, q, squared, near);
    V least = near.squared[0];
    HWY_UNROLL(4)
    for (int i = 1; i < Near::kPaths; ++i) least = hn::Min(least, near.squared[i]);
    if (!hn::AllFalse(d, hn::Le(least, lanes.limit))) {
      const float limit = LimitBy(seed, least, lanes.sigma);
      if (limit < limit_) {
        SetLimit(limit);
        lanes.limit = LimitOf(seed, lanes.sigma);
      }
    }
    if (!hn::AllFalse(d, hn::Le(hn::Mul(near.left_out, hn::Set(d, kGrows)), lanes.limit))) {
      return Descend<P - 2>(seed, lanes, squared);
    }
    HWY_UNROLL(4)
    for (int i = 0; i < Near::kPaths; ++i) {
      const M inside = hn::Le(near.squared[i], lanes.limit);
      if (!hn::AllFalse(d, inside)) Append(seed, lanes, inside, near.squared[i], near.codes[i]);
    }
  }

  // The same for q_p and those below it, whatever their number.
  template <int p>
  SEEDLM_STEP void Descend(const Seed& seed, Lanes& lanes, V above) {
    const D d;
    const V rest = hn::Sub(lanes.limit, above);
    const Steps<p> steps(seed, lanes);
    const V reach = hn::Mul(hn::Sqrt(hn::ZeroIfNegative(rest)), steps.inverse);
    const V slack = hn::MulAdd(hn::Add(hn::Abs(steps.centre), reach), hn::Set(d, 0x1p-20f),
                               hn::Add(reach, hn::Set(d, 1e-4f)));
    const V low =
        hn::Max(hn::Ceil(hn::Sub(steps.centre, slack)), hn::Set(d, codec::kMinCoefficient));
    V high = hn::Min(hn::Floor(hn::Add(steps.centre, slack)), hn::Set(d, codec::kMaxCoefficient));
    high = hn::IfThenElse(hn::Ge(rest, hn::Zero(d)), high, hn::Set(d, codec::kMinCoefficient - 1));
    V& q = lanes.q[p];
    for (q = low;; q = hn::Add(q, hn::Set(d, 1.0f))) {
      const M active = hn::Le(q, high);
      if (hn::AllFalse(d, active)) return;
      const V squared = steps.Squared(q, above);
      const M inside = hn::And(active, hn::Le(squared, lanes.limit));
      if (hn::AllFalse(d, inside)) continue;
      if constexpr (p > 0) {
        Descend<p - 1>(seed, lanes, hn::IfThenElse(inside, squared, hn::Set(d, HUGE_VALF)));
      } else {
        V code = lanes.q[P - 1];
        for (int j = P - 2; j >= 0; --j) code = hn::MulAdd(code, hn::Set(d, 16.0f), lanes.q[j]);
        Append(seed, lanes, inside, squared, code);
      }
    }
  }

  // The codes of the lanes that are `inside`; `code` as in Near.
  SEEDLM_STEP void Append(const Seed& seed, Lanes& lanes, M inside, V squared, V code) {
    const D d;
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(d, inside, bytes);
    uint32_t bits = bytes[0] | static_cast<uint32_t>(bytes[1]) << 8;
    for (; bits != 0; bits &= bits - 1) {
      if (leaves_ == kMaxLeaves) {
        Compare(seed, leaves_);
        leaves_ = 0;
        lanes.limit = LimitOf(seed, lanes.sigma);
      }
      const int lane = static_cast<int>(hwy::Num0BitsBelowLS1Bit_Nonzero32(bits));
      Read(lanes, lane, squared, code, codes_[leaves_++]);
    }
  }

  static HWY_INLINE void Read(const Lanes& lanes, int lane, V squared, V q, Code& code) {
    const D d;
    HWY_ALIGN float values[codec::kLevels];
    hn::Store(hn::Sub(squared, lanes.limit), d, values);
    code.excess = values[lane];
    code.level = lanes.first + lane;
    hn::Store(q, d, values);
    // With 8 more, each q_p is a digit of 4 bits.
    const uint32_t digits = static_cast<uint32_t>(static_cast<int32_t>(values[lane]) + 0x8888);
    HWY_UNROLL(4)
    for (int p = 0; p < P; ++p) {
      code.q[p] = static_cast<int8_t>(static_cast<int>(digits >> (4 * p) & 15u) - 8);
    }
  }

  // Compares the first `count` of codes_ by the objective itself, the most promising first: most of
  // the others are beyond the new limit then. Lowering the limit by some amount lowers every
  // level's by as much and more.
  SEEDLM_STEP void Compare(const Seed& seed, int count) {
    if (count == 0) return;
    int first = 0;
    for (int i = 1; i < count; ++i) {
      if (codes_[i].excess < codes_[first].excess) first = i;
    }
    std::swap(codes_[0], codes_[first]);
    const codec::Basis basis = LoadBasis<C, P>(*task_.seeds, seed.seed);
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
  float limit_ = HUGE_VALF;  // L: no code with F above it can win; it only falls
  float root_ = HUGE_VALF;   // sqrt(L)
  int leaves_ = 0;
  Code codes_[kMaxLeaves];
};

inline void AnyFinish(const FinishTask& task, const uint32_t* seeds, int count,
                      codec::Candidate& best) {
  codec::WithShape(*task.profile, [&](auto shape) {
    Finisher<shape.kBlock, shape.kRank>(task, best).Run(seeds, count);
  });
}

// A code is the best of its seed if finishing that seed does not find a better one.
template <int C, int P>
HWY_INLINE bool IsBestOfSeed(const FinishTask& task, const codec::BlockCode& code) {
  const codec::Profile& profile = Finisher<C, P>::kProfile;
  const codec::Candidate zero = codec::InitialCandidate(codec::Fit::kOptimal, task.block);
  const codec::Candidate stored{
      codec::BlockError(profile, task.block.weights, LoadBasis<C, P>(*task.seeds, code.seed),
                        code.q, task.levels->scale[code.level]),
      code.seed, codec::Remainder(profile, code)};
  const bool is_zero = stored.seed == zero.seed && stored.remainder == zero.remainder;
  if (!is_zero && !codec::Better(stored, zero)) return false;
  codec::Candidate best = stored;
  Finisher<C, P>(task, best).Run(&stored.seed, 1);
  return best.remainder == stored.remainder;
}

HWY_FLATTEN inline bool AnyIsBestOfSeed(const FinishTask& task, const codec::BlockCode& code) {
  return codec::WithShape(*task.profile, [&](auto shape) {
    return IsBestOfSeed<shape.kBlock, shape.kRank>(task, code);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
