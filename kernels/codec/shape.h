// A profile as a type, so that its loops are unrolled.
#pragma once

#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"

namespace seedlm::codec {

// C weights and P coefficients a block; K = 16.
template <int C, int P>
struct Shape {
  static constexpr int kBlock = C;
  static constexpr int kRank = P;
  static constexpr int kEntries = P * (P + 1) / 2;  // of a triangular factor
  // By value: device code may not refer to static members.
  SEEDLM_HD static constexpr Profile profile() { return {{}, C, P, 16}; }
};

// visit(Shape<C, P>()) for one of kProfiles.
template <typename Visit>
auto WithShape(const Profile& profile, const Visit& visit) {
  if (profile.block == k3bit.block) return visit(Shape<12, 4>());
  if (profile.block == k2bit.block) return visit(Shape<16, 3>());
  return profile.rank == k4bit.rank ? visit(Shape<8, 3>()) : visit(Shape<8, 4>());
}

}  // namespace seedlm::codec
