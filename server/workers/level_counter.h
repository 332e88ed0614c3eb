// How many blocks of a tensor use each level, counted in its planes as they go by.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/codec/profile.h"

namespace seedlm::server {

using LevelBlocks = std::array<int64_t, codec::kLevels>;

// Takes the plane that holds the levels of a profile (N_packed where they are in the words, else
// N_level) from its first byte to its last, in pieces of any size.
class LevelCounter {
 public:
  LevelCounter(const codec::Profile& profile, int64_t columns);

  void Add(std::span<const std::byte> bytes);
  const LevelBlocks& blocks() const { return blocks_; }

 private:
  const bool in_word_;
  const int64_t row_bytes_;  // of N_level
  const bool odd_;           // the last byte of a row has one level, not two
  int64_t offset_ = 0;       // of the next byte: in its word, or in its row
  LevelBlocks blocks_{};
};

}  // namespace seedlm::server
