// What the parts of the bench share: the count of comparisons, a repeatable source of bits.
#pragma once

#include <cstdint>
#include <string>

#include "hardware/hls/tb/packed_file.h"

namespace test_bench {

// Counts; says `what` of the first 20 failures. Returns `good`.
bool check(bool good, const std::string& what);

// Marsaglia's xorshift.
struct Random {
  uint64_t state = 0x9E3779B97F4A7C15u;
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
};

// The matrix-vector units: random and directed matrices, what they refuse.
void check_units();
// Every unit that reads 4bit on a tensor that `seedlm compress` made; the one whose levels are
// shifts refuses levels that are none.
void check_units_on(const PackedTensor& tensor, const std::string& name);

}  // namespace test_bench
