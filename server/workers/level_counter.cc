#include "server/workers/level_counter.h"

#include "kernels/codec/bitpack.h"

namespace seedlm::server {

LevelCounter::LevelCounter(const codec::Profile& profile, int64_t columns)
    : in_word_(profile.level_in_word()),
      row_bytes_(codec::LevelRowBytes(profile, profile.blocks_per_row(columns))),
      odd_(profile.blocks_per_row(columns) % 2 != 0) {}

void LevelCounter::Add(std::span<const std::byte> bytes) {
  const int64_t period = in_word_ ? int64_t{sizeof(uint32_t)} : row_bytes_;
  for (const std::byte byte : bytes) {
    const auto value = static_cast<uint8_t>(byte);
    const bool last = ++offset_ == period;
    if (last) offset_ = 0;
    if (in_word_) {
      if (last) ++blocks_[value >> 4];  // bits 28 .. 31 of a little-endian word
    } else {
      ++blocks_[value & 15u];
      if (!last || !odd_) ++blocks_[value >> 4];
    }
  }
}

}  // namespace seedlm::server
