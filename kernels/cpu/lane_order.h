// Which lanes come first where those of a mask are moved to the front: a table for pack_inl.h.
#pragma once

#include <cstdint>

namespace seedlm::cpu {

struct LaneOrder {
  // of[mask]: the lanes of the mask, ascending, then the others.
  uint8_t of[256][8];
};

constexpr LaneOrder MakeLaneOrder() {
  LaneOrder order = {};
  for (int mask = 0; mask < 256; ++mask) {
    int at = 0;
    for (int wanted = 1; wanted >= 0; --wanted) {
      for (int lane = 0; lane < 8; ++lane) {
        if ((mask >> lane & 1) == wanted) order.of[mask][at++] = static_cast<uint8_t>(lane);
      }
    }
  }
  return order;
}

inline constexpr LaneOrder kLaneOrder = MakeLaneOrder();

}  // namespace seedlm::cpu
