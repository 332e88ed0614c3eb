// A code as bits: the 32-bit word, and the nibble of the level plane where P = 4.
#pragma once

#include <cstdint>

#include "kernels/codec/block_code.h"
#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"

namespace seedlm::codec {

// Bits 0-15 the seed, 16+4p .. 19+4p coefficient q_p, and for P = 3 bits 28-31 the level.
SEEDLM_HD inline uint32_t PackWord(const Profile& profile, const BlockCode& code) {
  return code.seed | (Remainder(profile, code) << 16);  // P = 4: the level falls off the top
}

// `level` is used only where it is not in the word.
SEEDLM_HD inline BlockCode UnpackWord(const Profile& profile, uint32_t word, uint32_t level) {
  BlockCode code = FromSeedAndRemainder(profile, word & 0xFFFFu, word >> 16);
  if (!profile.level_in_word()) code.level = static_cast<uint8_t>(level & 15u);
  return code;
}

// Bytes of one row of the level plane: block 2b in the low nibble, 2b+1 in the high one.
SEEDLM_HD constexpr int64_t LevelRowBytes(const Profile& profile, int64_t blocks_per_row) {
  return profile.level_in_word() ? 0 : (blocks_per_row + 1) / 2;
}

SEEDLM_HD inline uint32_t GetLevelNibble(const uint8_t* level_row, int64_t block) {
  return (level_row[block / 2] >> (4 * (block % 2))) & 15u;
}

// REQUIRES: the nibble is still 0.
SEEDLM_HD inline void PutLevelNibble(uint8_t* level_row, int64_t block, uint32_t level) {
  level_row[block / 2] =
      static_cast<uint8_t>(level_row[block / 2] | ((level & 15u) << (4 * (block % 2))));
}

}  // namespace seedlm::codec
