// Whether codes are what an encoder can have made of their blocks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/backend/shard.h"
#include "kernels/codec/block_code.h"

namespace seedlm::backend {

// Blocks of a tensor, and the codes that are said to be theirs. Not owned.
struct CodedBlocks {
  const EncodeSpec* spec = nullptr;         // of the tensor
  std::span<const codec::BlockCode> codes;  // no seed is 0
  const float* weights = nullptr;           // [codes.size(), C], finite; zeros past the end of rows
};

// Whether codes[i] is the best of all codes of its own seed for its block, and better than the zero
// code, or is that: true of every code that an encoder makes, and of next to none that is damaged.
// For kNearest: whether it is the one code that the rule gives for its seed. What it does not see
// is a seed that became another one whose best code has the same coefficients and level.
// About one microsecond with FMA. Pure, thread-safe. REQUIRES: not kNearest with a fitted table.
bool IsBestOfItsSeed(const CodedBlocks& blocks, size_t i);

// The places, ascending, of codes of which that is not true, one after the other.
std::vector<size_t> FindForeignCodes(const CodedBlocks& blocks);

}  // namespace seedlm::backend
