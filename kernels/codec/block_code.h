// A block's code, its order, and its decoding: the one decoder of the project, bit for bit the same
// on every machine.
#pragma once

#include <cstdint>

#include "kernels/codec/basis.h"
#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"

namespace seedlm::codec {

struct BlockCode {
  uint16_t seed = 1;
  uint8_t level = 0;
  int8_t q[kMaxRank] = {};  // the first `rank` count, the others are 0
};

// Everything but the seed as one unsigned integer: q_0 in the lowest 4 bits, .., the level on top.
SEEDLM_HD inline uint32_t Remainder(const Profile& profile, const BlockCode& code) {
  uint32_t bits = static_cast<uint32_t>(code.level) << (kCoefficientBits * profile.rank);
  for (int p = 0; p < kMaxRank; ++p) {
    if (p >= profile.rank) break;
    bits |= (static_cast<uint32_t>(code.q[p]) & 15u) << (kCoefficientBits * p);
  }
  return bits;
}

SEEDLM_HD inline BlockCode FromSeedAndRemainder(const Profile& profile, uint32_t seed,
                                                uint32_t remainder) {
  BlockCode code;
  code.seed = static_cast<uint16_t>(seed);
  for (int p = 0; p < kMaxRank; ++p) {
    if (p >= profile.rank) break;
    const int nibble = static_cast<int>((remainder >> (kCoefficientBits * p)) & 15u);
    code.q[p] = static_cast<int8_t>(nibble >= 8 ? nibble - 16 : nibble);
  }
  code.level = static_cast<uint8_t>((remainder >> (kCoefficientBits * profile.rank)) & 15u);
  return code;
}

// One decoded weight: an integer dot product (|sum| <= 2^20, exact in float32) and one float32
// multiplication, rounded to nearest even.
SEEDLM_HD inline float DecodeWeight(const Profile& profile, const int32_t* basis_row,
                                    const int8_t* q, float scale) {
  int32_t sum = 0;
  for (int p = 0; p < profile.rank; ++p) sum += basis_row[p] * q[p];
  return static_cast<float>(sum) * scale;
}

// Writes the C weights of a code. `scale` is the tensor's level table, 16 entries.
SEEDLM_HD inline void DecodeBlock(const Profile& profile, const BlockCode& code, const float* scale,
                                  float* weights) {
  const Basis basis = MakeBasis(profile, code.seed);
  for (int c = 0; c < profile.block; ++c) {
    weights[c] = DecodeWeight(profile, basis.at[c], code.q, scale[code.level]);
  }
}

}  // namespace seedlm::codec
