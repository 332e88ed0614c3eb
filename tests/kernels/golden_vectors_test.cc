#include "tests/kernels/golden_vectors.h"

#include <catch2/catch.hpp>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/reference.h"

namespace seedlm::codec {
namespace {

TEST_CASE("the reference encodes and decodes every golden vector", "[golden]") {
  int blocks = 0;
  for (const testing::GoldenFile& golden : testing::ReadGoldenFiles()) {
    if (golden.levels.rule == ScaleRule::kPow2) {
      CHECK(Pow2Levels(golden.profile, golden.levels.bias) == golden.levels);
    }
    const ReferenceEncoder encoder(golden.profile);
    for (const testing::GoldenBlock& expected : golden.blocks) {
      CAPTURE(golden.name, blocks, expected.seed);
      const EncodedBlock got = encoder.Encode(golden.fit, golden.levels, expected.weights.data());
      CHECK(got.code.seed == expected.seed);
      CHECK(got.code.level == expected.level);
      for (int p = 0; p < golden.profile.rank; ++p) {
        CHECK(got.code.q[p] == expected.q[static_cast<size_t>(p)]);
      }
      CHECK(got.error == expected.error);
      CHECK(PackWord(golden.profile, got.code) == expected.word);
      std::vector<float> decoded(expected.decoded.size());
      DecodeBlock(golden.profile, got.code, golden.levels.scale.data(), decoded.data());
      CHECK(decoded == expected.decoded);
      ++blocks;
    }
  }
  CHECK(blocks == 320);
}

}  // namespace
}  // namespace seedlm::codec
