// Lists that are coded as gaps back to seeds, for one instruction set; included once for each by
// Highway's foreach_target.
//
// CellIndex::Coding::kGaps, eight bytes at a time: a byte is the distance from the seed before, or
// 0 for 255 and no seed. Running sums of eight are three shifted additions; then the lanes whose
// byte was 0 are taken out. Eight bytes are eight seeds at most, so nothing is written past a bin.
#if defined(SEEDLM_GAPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SEEDLM_GAPS_INL_H_
#undef SEEDLM_GAPS_INL_H_
#else
#define SEEDLM_GAPS_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/pack_inl.h"

HWY_BEFORE_NAMESPACE();
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

inline void DecodeGaps(const uint16_t* begin, const uint8_t* code, int count, uint16_t* seeds) {
  int at = 0;
  for (int bin = 0; at < count; ++bin) {
    const int end = std::min<int>(begin[bin + 1], count);
    uint16_t last = 0;
#if HWY_TARGET != HWY_SCALAR
    constexpr int kEight = 8;
    const hn::Full128<uint16_t> d;
    const hn::Full128<uint8_t> d8;
    const hn::Half<decltype(d8)> d8_half;
    // Bytes 14 and 15, the last lane, everywhere.
    const auto last_lane = hn::BitCast(d8, hn::Set(d, 0x0F0E));
    auto sum = hn::Zero(d);
    for (; end - at >= kEight; code += kEight) {
      const auto gap = hn::PromoteTo(d, hn::LoadU(d8_half, code));
      const auto empty = hn::Eq(gap, hn::Zero(d));
      const auto before = hn::TableLookupBytes(hn::BitCast(d8, sum), last_lane);
      sum = hn::IfThenElse(empty, hn::Set(d, 255), gap);
      sum = hn::Add(sum, hn::ShiftLeftLanes<1>(d, sum));
      sum = hn::Add(sum, hn::ShiftLeftLanes<2>(d, sum));
      sum = hn::Add(sum, hn::ShiftLeftLanes<4>(d, sum));
      sum = hn::Add(sum, hn::BitCast(d, before));
      const Packer<decltype(d)> full(hn::Not(empty));
      hn::StoreU(full(d, sum), d, seeds + at);
      at += static_cast<int>(full.count());
    }
    last = hn::ExtractLane(sum, kEight - 1);
#endif
    while (at < end) {
      const uint16_t gap = *code++;
      last = static_cast<uint16_t>(last + (gap != 0 ? gap : 255));
      seeds[at] = last;
      at += gap != 0;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#endif  // include guard for each target
