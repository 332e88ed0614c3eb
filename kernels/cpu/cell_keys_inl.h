// The cells of blocks, for one instruction set; included once for each by Highway's foreach_target.
//
// search/lattice.h for a vector of blocks: a lane is a block, and a coordinate a vector. The same
// float32 operations in the same order, so the same keys.
#if defined(SEEDLM_CELL_KEYS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_CELL_KEYS_INL_H_
#undef SEEDLM_CELL_KEYS_INL_H_
#else
#define SEEDLM_CELL_KEYS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/codec/seed_search.h"
#include "kernels/cpu/turn_inl.h"
#include "kernels/search/lattice.h"

HWY_BEFORE_NAMESPACE();
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

template <int C>
void CellKeys(const codec::Profile& profile, const float* weights, const uint32_t* places,
              int count, double radius, uint64_t* keys, double* squared_norms) {
  for (int i = 0; i < count; ++i) {
    const codec::BlockTask task = codec::MakeTask(profile, weights + size_t{places[i]} * C);
    const double scale = radius / std::sqrt(task.squared_norm);
    float x[C];
    for (int c = 0; c < C; ++c) x[c] = static_cast<float>(task.weights[c] * scale);
    keys[i] = search::CellKey<C>(search::NearestOfDPlus<C>(x));
    squared_norms[i] = task.squared_norm;
  }
}

#else

// How far x is from D_n + shift, and which coordinate is rounded the other way.
template <int n>
struct NearestOfD {
  HWY_INLINE NearestOfD(const V* x, V shift) {
    const D d;
    const V one = hn::Set(d, 1.0f);
    V sum = hn::Zero(d), most = hn::Set(d, -1.0f);
    squared = hn::Zero(d);
    turned = hn::Zero(d);
    HWY_UNROLL(16)
    for (int i = 0; i < n; ++i) {
      const V shifted = hn::Sub(x[i], shift);
      const V rounded = hn::Round(shifted);
      const V rest = hn::Sub(shifted, rounded);
      const V size = hn::Abs(rest);
      sum = hn::Add(sum, rounded);
      squared = hn::Add(squared, hn::Mul(rest, rest));
      turned = hn::IfThenElse(hn::Gt(size, most), hn::Set(d, static_cast<float>(i)), turned);
      most = hn::Max(size, most);
    }
    const V half = hn::Mul(sum, hn::Set(d, 0.5f));
    const auto odd = hn::Ne(hn::Round(half), half);
    const V more = hn::Add(squared, hn::Sub(one, hn::Add(most, most)));
    squared = hn::IfThenElse(odd, more, squared);
    turned = hn::IfThenElse(odd, turned, hn::Set(d, -1.0f));
  }

  V squared;  // distance
  V turned;   // the coordinate, or -1: the sum is even as it is
};

// The doubled coordinates of the point of D_n+ nearest to x.
template <int n>
HWY_INLINE void NearestPoint(const V* HWY_RESTRICT x, V* HWY_RESTRICT twice) {
  const D d;
  const NearestOfD<n> whole(x, hn::Zero(d)), half(x, hn::Set(d, 0.5f));
  const auto is_whole = hn::Le(whole.squared, half.squared);
  const V shift = hn::IfThenElse(is_whole, hn::Zero(d), hn::Set(d, 0.5f));
  const V turned = hn::IfThenElse(is_whole, whole.turned, half.turned);
  HWY_UNROLL(16)
  for (int i = 0; i < n; ++i) {
    const V shifted = hn::Sub(x[i], shift);
    const V rounded = hn::Round(shifted);
    const V step = hn::CopySignToAbs(hn::Set(d, 1.0f), hn::Sub(shifted, rounded));
    const auto here = hn::Eq(turned, hn::Set(d, static_cast<float>(i)));
    const V point = hn::Add(hn::Add(rounded, shift), hn::IfThenElseZero(here, step));
    twice[i] = hn::Add(point, point);
  }
}

// search::CellKey: `low` has the bits of the first 6 coordinates, `high` those of the others.
template <int n>
HWY_INLINE void KeyOfPoint(const V* twice, V32& low, V32& high) {
  const D d;
  const D32 d32;
  V sign = hn::Zero(d);  // of the first coordinate that is not 0
  HWY_UNROLL(16)
  for (int i = n - 1; i >= 0; --i) {
    sign = hn::IfThenElse(hn::Ne(twice[i], hn::Zero(d)), twice[i], sign);
  }
  const V negative = hn::And(sign, hn::SignBit(d));
  const V middle = hn::Set(d, 16.0f);
  const auto bits = [&](int i) HWY_ATTR {
    return hn::ConvertTo(d32, hn::Add(middle, hn::Xor(twice[i], negative)));
  };
  low = bits(5);
  HWY_UNROLL(8)
  for (int i = 4; i >= 0; --i) low = hn::Or(hn::ShiftLeft<5>(low), bits(i));
  high = bits(n - 1);
  HWY_UNROLL(8)
  for (int i = n - 2; i >= 6; --i) high = hn::Or(hn::ShiftLeft<5>(high), bits(i));
  const auto origin = hn::RebindMask(d32, hn::Eq(sign, hn::Zero(d)));
  low = hn::IfThenZeroElse(origin, low);
  high = hn::IfThenZeroElse(origin, high);
}

template <int C>
HWY_INLINE void CellKeys(const codec::Profile&, const float* weights, const uint32_t* places,
                         int count, double radius, uint64_t* keys, double* squared_norms) {
  const D d;
  const hn::Half<D> dh;
  const hn::Rebind<double, hn::Half<D> > dd;
  for (int at = 0; at < count; at += kLanes) {
    const int some = std::min(kLanes, count - at);
    const int16_t* rows[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      const size_t place = places[at + std::min(r, some - 1)];
      rows[r] = reinterpret_cast<const int16_t*>(weights + place * C);
    }
    HWY_ALIGN int32_t tile[C * kLanes];
    TurnRows<C>(rows, tile);
    const auto weight = [&](int c)
                            HWY_ATTR { return hn::BitCast(d, hn::Load(D32(), tile + c * kLanes)); };
    // codec::MakeTask: the squares are exact, so they need no fused instruction.
    auto low = hn::Zero(dd), high = hn::Zero(dd);
    HWY_UNROLL(16)
    for (int c = 0; c < C; ++c) {
      const auto w_low = hn::PromoteTo(dd, hn::LowerHalf(dh, weight(c)));
      const auto w_high = hn::PromoteTo(dd, hn::UpperHalf(dh, weight(c)));
      low = hn::MulAdd(w_low, w_low, low);
      high = hn::MulAdd(w_high, w_high, high);
    }
    HWY_ALIGN double norms[kLanes];
    hn::Store(low, dd, norms);
    hn::Store(high, dd, norms + kLanes / 2);
    const auto scale_low = hn::Div(hn::Set(dd, radius), hn::Sqrt(low));
    const auto scale_high = hn::Div(hn::Set(dd, radius), hn::Sqrt(high));
    V x[C], twice[C];
    HWY_UNROLL(16)
    for (int c = 0; c < C; ++c) {
      const auto w_low = hn::PromoteTo(dd, hn::LowerHalf(dh, weight(c)));
      const auto w_high = hn::PromoteTo(dd, hn::UpperHalf(dh, weight(c)));
      x[c] = hn::Combine(d, hn::DemoteTo(dh, hn::Mul(w_high, scale_high)),
                         hn::DemoteTo(dh, hn::Mul(w_low, scale_low)));
    }
    NearestPoint<C>(x, twice);
    V32 key_low, key_high;
    KeyOfPoint<C>(twice, key_low, key_high);
    HWY_ALIGN uint32_t words[2 * kLanes];
    const hn::RebindToUnsigned<D> du;
    hn::Store(hn::BitCast(du, key_low), du, words);
    hn::Store(hn::BitCast(du, key_high), du, words + kLanes);
    for (int r = 0; r < some; ++r) {
      keys[at + r] = words[r] | uint64_t{words[kLanes + r]} << 30;
      squared_norms[at + r] = norms[r];
    }
  }
}

#endif

inline void AnyCellKeys(const codec::Profile& profile, const float* weights, const uint32_t* places,
                        int count, double radius, uint64_t* keys, double* squared_norms) {
  return profile.block == 8
             ? CellKeys<8>(profile, weights, places, count, radius, keys, squared_norms)
             : CellKeys<12>(profile, weights, places, count, radius, keys, squared_norms);
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
