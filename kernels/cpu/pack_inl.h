// Lanes of a vector moved to its front, for one instruction set; included once for each by
// Highway's foreach_target.
//
// Highway 1.0's Compress looks its lanes up in a table that GCC copies to the stack for every call,
// 1 KB of it for eight lanes: with AVX2 that was four fifths of the time that a 4bit list took to
// build. Where the processor has an instruction for it (AVX-512) Compress is that; elsewhere the
// table here is read where it lies.
#if defined(SEEDLM_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_PACK_INL_H_
#undef SEEDLM_PACK_INL_H_
#else
#define SEEDLM_PACK_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/lane_order.h"

// Whether Compress is good as it is.
#undef SEEDLM_PACKS
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET <= HWY_AVX3
#define SEEDLM_PACKS 1
#else
#define SEEDLM_PACKS 0
#endif

HWY_BEFORE_NAMESPACE();
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The lanes of `mask`, in their order, at the front of vectors of up to eight lanes, or sixteen
// with AVX-512. What comes behind them is arbitrary.
template <class D>
class Packer {
#if !SEEDLM_PACKS
  static_assert(hn::MaxLanes(D()) <= 8);                                 // lanes in the table
  static_assert(sizeof(hn::TFromD<D>) > 2 || sizeof(hn::Vec<D>) <= 16);  // bytes stay in 128 bits
#endif

 public:
  HWY_INLINE explicit Packer(hn::Mask<D> mask);
  HWY_INLINE size_t count() const { return count_; }
  // For D, and for other types of lanes of the same size.
  template <class To>
  HWY_INLINE hn::Vec<To> operator()(To d, hn::Vec<To> v) const;

 private:
#if SEEDLM_PACKS
  hn::Mask<D> mask_;
#else
  using Order = hn::RebindToUnsigned<D>;
  hn::Vec<Order> order_;  // of a lane: the one that comes there
#endif
  size_t count_;
};

#if SEEDLM_PACKS

template <class D>
HWY_INLINE Packer<D>::Packer(hn::Mask<D> mask) : mask_(mask), count_(hn::CountTrue(D(), mask)) {}

template <class D>
template <class To>
HWY_INLINE hn::Vec<To> Packer<D>::operator()(To, hn::Vec<To> v) const {
  return hn::Compress(v, hn::RebindMask(To(), mask_));
}

#else

template <class D>
HWY_INLINE Packer<D>::Packer(hn::Mask<D> mask) {
  uint8_t bits[8] = {};
  hn::StoreMaskBits(D(), mask, bits);
  const hn::Rebind<uint8_t, Order> bytes;
  order_ = hn::PromoteTo(Order(), hn::LoadU(bytes, kLaneOrder.of[bits[0]]));
  count_ = hwy::PopCount(bits[0]);
}

template <class D>
template <class To>
HWY_INLINE hn::Vec<To> Packer<D>::operator()(To d, hn::Vec<To> v) const {
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(uint16_t)) {
    // Two bytes a lane.
    const hn::Repartition<uint8_t, Order> bytes;
    const auto order = hn::Add(hn::Mul(order_, hn::Set(Order(), 0x0202)), hn::Set(Order(), 0x0100));
    return hn::BitCast(d, hn::TableLookupBytes(hn::BitCast(bytes, v), hn::BitCast(bytes, order)));
  } else {
    return hn::TableLookupLanes(v, hn::IndicesFromVec(d, order_));
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
