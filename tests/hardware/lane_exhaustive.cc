// The RTL lane against the codec's definition for every 4bit word: all 65,535 seeds with all 4,096
// triples of coefficients (the level does not enter). What hardware/formal proves, seen in
// simulation.
//
//   lane_exhaustive [SEEDS]     the first SEEDS seeds only
#include <Vlane.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "kernels/codec/basis.h"
#include "kernels/codec/profile.h"

namespace {

constexpr int kSumBits = 21;

int32_t SumAt(const Vlane& lane, int c) {
  const int low = kSumBits * c, word = low / 32, bit = low % 32;
  uint64_t bits = lane.sums[static_cast<size_t>(word)];
  if (word < 5) bits |= static_cast<uint64_t>(lane.sums[static_cast<size_t>(word) + 1]) << 32;
  const uint32_t value = static_cast<uint32_t>(bits >> bit) & ((1u << kSumBits) - 1);
  return static_cast<int32_t>(value << (32 - kSumBits)) >> (32 - kSumBits);
}

void Clock(Vlane& lane) {
  lane.clk = 0;
  lane.eval();
  lane.clk = 1;
  lane.eval();
}

int Int4(uint32_t bits) { return static_cast<int>((bits & 15) ^ 8) - 8; }

}  // namespace

int main(int argc, char** argv) {
  using namespace seedlm;
  const uint32_t seeds =
      argc > 1 ? static_cast<uint32_t>(std::strtoul(argv[1], nullptr, 10)) : 65535;
  if (seeds < 1 || seeds > 65535) {
    std::fprintf(stderr, "usage: lane_exhaustive [SEEDS]; 1 to 65535\n");
    return 2;
  }
  constexpr uint32_t kTriples = 1u << 12;
  constexpr uint32_t kLatency = 2;
  Vlane lane;
  lane.en = 1;
  uint64_t matched = 0;
  for (uint32_t seed = 1; seed <= seeds; ++seed) {
    const codec::Basis basis = codec::MakeBasis(codec::k4bit, seed);
    for (uint32_t i = 0; i < kTriples + kLatency - 1; ++i) {
      lane.word = seed | ((i % kTriples) << 16);
      Clock(lane);
      if (i + 1 < kLatency) continue;
      const uint32_t q = i + 1 - kLatency;
      const int q0 = Int4(q), q1 = Int4(q >> 4), q2 = Int4(q >> 8);
      for (int c = 0; c < 8; ++c) {
        const int32_t* v = basis.at[c];
        if (SumAt(lane, c) != v[0] * q0 + v[1] * q1 + v[2] * q2 || lane.zero_seed) {
          std::fprintf(stderr, "lane_exhaustive: FAILED: seed %u coefficients %d %d %d weight %d\n",
                       seed, q0, q1, q2, c);
          return 1;
        }
      }
      ++matched;
    }
  }
  std::printf("lane_exhaustive: matched %llu words\n", static_cast<unsigned long long>(matched));
  return 0;
}
