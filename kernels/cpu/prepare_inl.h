// What a block brings to its search, for one instruction set; included once for each by Highway's
// foreach_target.
#if defined(SEEDLM_PREPARE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_PREPARE_INL_H_
#undef SEEDLM_PREPARE_INL_H_
#else
#define SEEDLM_PREPARE_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/codec/seed_search.h"
#include "kernels/cpu/byte_products_inl.h"
#include "kernels/cpu/search_kernels.h"
#include "kernels/search/seed_table.h"

HWY_BEFORE_NAMESPACE();
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Vectors of float64 that a block of 8 or 12 is made of, and a table of levels.
using Wide = hn::CappedTag<double, 4>;
using WideVec = hn::Vec<Wide>;
constexpr size_t kWideLanes = hn::MaxLanes(Wide());

// |w|^2 as codec::MakeTask adds it up: the squares are exact, so they need no fused instruction.
HWY_INLINE double SquaredNorm(const float* weights, int count) {
  double squared = 0;
  for (int c = 0; c < count; ++c) squared += double{weights[c]} * double{weights[c]};
  return squared;
}

HWY_INLINE WideVec LoadWide(const float* from) {
  return hn::PromoteTo(Wide(), hn::LoadU(hn::Rebind<float, Wide>(), from));
}
HWY_INLINE void StoreNarrow(WideVec v, float* to) {
  const hn::Rebind<float, Wide> narrow;
  hn::StoreU(hn::DemoteTo(narrow, v), narrow, to);
}
// To the nearest integers, ties to even.
HWY_INLINE hn::Vec<hn::Rebind<int32_t, Wide>> ToIntegers(WideVec v) {
  return hn::DemoteTo(hn::Rebind<int32_t, Wide>(), hn::Round(v));
}

template <int C>
HWY_INLINE void StartFinishing(const codec::Profile& profile, const codec::LevelTable& levels,
                               const search::SeedTable& seeds, const float* weights,
                               FinishTask& task) {
  const Wide d;
  task.block = {weights, SquaredNorm(weights, C)};
  task.profile = &profile;
  task.levels = &levels;
  task.seeds = &seeds;
  task.inverse_squared_norm = 1 / task.block.squared_norm;
  const double inverse_norm = 1 / std::sqrt(task.block.squared_norm);
  for (size_t c = 0; c < C; c += kWideLanes) {
    StoreNarrow(hn::Mul(LoadWide(weights + c), hn::Set(d, inverse_norm)), task.unit + c);
  }
  constexpr float kHighest = 2.2f / static_cast<float>(search::SeedTable::kLeastDiagonal);
  const hn::Rebind<float, Wide> narrow;
  WideVec least = hn::Set(d, HUGE_VAL);
  for (size_t i = 0; i < codec::kLevels; i += kWideLanes) {
    const WideVec wide = hn::Mul(LoadWide(&levels.scale[i]), hn::Set(d, inverse_norm));
    const auto sigma = hn::Min(hn::DemoteTo(narrow, wide), hn::Set(narrow, kHighest));
    least = hn::Min(least, wide);
    hn::StoreU(sigma, narrow, task.sigma + i);
    hn::StoreU(hn::Div(hn::Set(narrow, 1.0f), sigma), narrow, task.inverse_sigma + i);
  }
  task.in_range = hn::GetLane(hn::MinOfLanes(d, least)) >= 0x1p-60;
}

// u as rows of bytes are multiplied by it; `slack` for what rounding it may cost.
template <int C>
HWY_INLINE void ToBytes(const WideVec* u, ByteBlock& block, double& slack) {
  const Wide d;
  WideVec most = hn::Zero(d);
  for (size_t i = 0; i < C / kWideLanes; ++i) most = hn::Max(most, hn::Abs(u[i]));
  const double unit = hn::GetLane(hn::MaxOfLanes(d, most)) / kByteWeight;
  const WideVec per_unit = hn::Set(d, 1 / unit);
  int32_t rounded[C];
  WideVec squared = hn::Zero(d);
  for (size_t i = 0; i < C / kWideLanes; ++i) {
    const auto integers = ToIntegers(hn::Mul(u[i], per_unit));
    hn::StoreU(integers, hn::Rebind<int32_t, Wide>(), rounded + i * kWideLanes);
    const WideVec error = hn::NegMulAdd(hn::PromoteTo(d, integers), hn::Set(d, unit), u[i]);
    squared = hn::MulAdd(error, error, squared);
  }
  block.offset = 0;
  for (int c = 0; c < C; ++c) {
    block.weights[c] = static_cast<int8_t>(rounded[c]);
    block.offset -= 128 * rounded[c];
  }
  block.scale = static_cast<float>(unit * unit);
  slack = 2 * std::sqrt(hn::GetLane(hn::SumOfLanes(d, squared))) + search::SeedTable::kByteMargin;
}

template <int C>
HWY_INLINE void PlaceInCell(const search::SeedTable& seeds, const double* centre, bool by_bytes,
                            PreparedBlock& out) {
  const Wide d;
  const codec::BlockTask& task = out.finish.block;
  const double inverse_norm = 1 / std::sqrt(task.squared_norm);
  WideVec u[C / kWideLanes];
  WideVec dot = hn::Zero(d);
  for (size_t i = 0; i < C / kWideLanes; ++i) {
    u[i] = hn::Mul(LoadWide(task.weights + i * kWideLanes), hn::Set(d, inverse_norm));
    dot = hn::MulAdd(u[i], hn::LoadU(d, centre + i * kWideLanes), dot);
  }
  out.cosine = std::fabs(hn::GetLane(hn::SumOfLanes(d, dot)));
  if (by_bytes) return ToBytes<C>(u, out.bytes, out.slack);
  out.slack = seeds.row_margin();
  const hn::Rebind<int16_t, Wide> d16;
  for (size_t i = 0; i < C / kWideLanes; ++i) {
    const auto scaled = hn::Mul(u[i], hn::Set(d, search::SeedTable::kRowUnit));
    hn::StoreU(hn::DemoteTo(d16, ToIntegers(scaled)), d16, out.pairs + i * kWideLanes);
  }
}

inline void Prepare(const codec::Profile& profile, const codec::LevelTable& levels,
                    const search::SeedTable& seeds, const float* weights, FinishTask& task) {
  switch (profile.block) {
    case 8:
      return StartFinishing<8>(profile, levels, seeds, weights, task);
    case 12:
      return StartFinishing<12>(profile, levels, seeds, weights, task);
    default:
      return StartFinishing<16>(profile, levels, seeds, weights, task);
  }
}

inline void PrepareForCell(const codec::Profile& profile, const codec::LevelTable& levels,
                           const search::SeedTable& seeds, const float* weights,
                           const double* centre, bool by_bytes, PreparedBlock& out) {
  if (profile.block == 8) {
    StartFinishing<8>(profile, levels, seeds, weights, out.finish);
    return PlaceInCell<8>(seeds, centre, by_bytes, out);
  }
  StartFinishing<12>(profile, levels, seeds, weights, out.finish);
  PlaceInCell<12>(seeds, centre, by_bytes, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
