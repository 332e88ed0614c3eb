// The pseudo-random basis of a seed.
#pragma once

#include <cstdint>

#include "kernels/codec/host_device.h"
#include "kernels/codec/lfsr.h"
#include "kernels/codec/profile.h"

namespace seedlm::codec {

// A = V - 2^(K-1), C x P integers in [1 - 2^(K-1), 2^(K-1) - 1]. The paper's U is A / (2^(K-1) -
// 1); the division lives in the levels, so that decoding stays in integers until its last step.
struct Basis {
  int32_t at[kMaxBlock][kMaxRank];
};

// V is filled row by row with the C*P states that follow `seed`; the seed itself is not used.
SEEDLM_HD inline Basis MakeBasis(const Profile& profile, uint32_t seed) {
  Basis basis;
  uint32_t state = seed;
  for (int c = 0; c < profile.block; ++c) {
    for (int p = 0; p < profile.rank; ++p) {
      state = NextState(state, profile.lfsr_width);
      basis.at[c][p] = static_cast<int32_t>(state) - profile.centre();
    }
  }
  return basis;
}

}  // namespace seedlm::codec
