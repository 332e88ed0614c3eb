// A profile as a type, so that kernels have its loops unrolled.
#pragma once

#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"

namespace seedlm::cuda {

// C weights and P coefficients a block; K = 16.
template <int C, int P>
struct Shape {
  static constexpr int kBlock = C;
  static constexpr int kRank = P;
  static constexpr int kEntries = P * (P + 1) / 2;  // of a triangular factor
  // By value: device code may not refer to static members.
  SEEDLM_HD static constexpr codec::Profile profile() { return {{}, C, P, 16}; }
};

// visit(Shape<C, P>()) for one of codec::kProfiles.
template <typename Visit>
auto WithShape(const codec::Profile& profile, const Visit& visit) {
  if (profile.block == codec::k3bit.block) return visit(Shape<12, 4>());
  if (profile.block == codec::k2bit.block) return visit(Shape<16, 3>());
  return profile.rank == codec::k4bit.rank ? visit(Shape<8, 3>()) : visit(Shape<8, 4>());
}

}  // namespace seedlm::cuda
