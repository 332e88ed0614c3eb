#include "kernels/codec/levels.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "kernels/codec/narrow.h"

namespace seedlm::codec {
namespace {

TEST_CASE("paper levels follow the two's complement of their pattern", "[levels]") {
  const LevelTable table = PaperLevels(k4bit);
  CHECK(table.rule == ScaleRule::kPaper);
  for (int i = 0; i < kLevels; ++i) {
    const int exponent = i < 8 ? i : i - 16;
    CHECK(table.scale[static_cast<size_t>(i)] ==
          static_cast<float>(std::ldexp(1.0, exponent) / 32767));
  }
  CHECK(FloatBits(table.scale[0]) == 0x38000100u);
  CHECK(FloatBits(table.scale[8]) == 0x34000100u);
}

TEST_CASE("the bias shifts every exponent", "[levels]") {
  for (const int bias : {kMinLevelExponent + 8, -30, -1, 3, kMaxLevelExponent - 7}) {
    const LevelTable table = Pow2Levels(k3bit, bias);
    for (int i = 0; i < kLevels; ++i) {
      CHECK(table.scale[static_cast<size_t>(i)] ==
            static_cast<float>(std::ldexp(1.0 / 32767, bias + Int4(i))));
      CHECK(std::isnormal(table.scale[static_cast<size_t>(i)]));
    }
  }
}

TEST_CASE("eighths of an octave are correctly rounded", "[levels]") {
  for (int position = -100; position <= 100; ++position) {
    const long double exact = std::exp2(static_cast<long double>(position) / 8) / 32767;
    CHECK(LevelAt(position, 32767) == static_cast<float>(exact));
  }
  CHECK(FloatBits(LevelAt(-58, 32767)) != 0);
  CHECK(LevelAt(-8, 1) == 0.5f);
  CHECK(LevelAt(-1, 1) < 1.0f);
}

}  // namespace
}  // namespace seedlm::codec
