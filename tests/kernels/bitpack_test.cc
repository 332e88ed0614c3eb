#include "kernels/codec/bitpack.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "kernels/codec/levels.h"

namespace seedlm::codec {
namespace {

BlockCode RandomCode(const Profile& profile, std::mt19937& bits) {
  BlockCode code;
  code.seed = static_cast<uint16_t>(1 + bits() % 65535);
  code.level = static_cast<uint8_t>(bits() % 16);
  for (int p = 0; p < profile.rank; ++p) {
    code.q[p] = static_cast<int8_t>(static_cast<int>(bits() % 16) - 8);
  }
  return code;
}

TEST_CASE("a code survives its bits", "[bitpack]") {
  std::mt19937 bits(1);
  for (const Profile& profile : kProfiles) {
    for (int i = 0; i < 1000; ++i) {
      const BlockCode code = RandomCode(profile, bits);
      const BlockCode back = UnpackWord(profile, PackWord(profile, code), code.level);
      CHECK(back.seed == code.seed);
      CHECK(Remainder(profile, back) == Remainder(profile, code));
      const BlockCode again = FromSeedAndRemainder(profile, code.seed, Remainder(profile, code));
      CHECK(PackWord(profile, again) == PackWord(profile, code));
    }
  }
}

TEST_CASE("bits lie where the format says", "[bitpack]") {
  BlockCode code;
  code.seed = 0xABCD;
  code.level = 9;
  code.q[0] = -8;
  code.q[1] = 7;
  code.q[2] = -1;
  CHECK(PackWord(k4bit, code) == 0x9F78ABCDu);
  code.q[3] = 3;
  CHECK(PackWord(k3bit, code) == 0x3F78ABCDu);
}

TEST_CASE("the level plane holds block 2b in the low nibble", "[bitpack]") {
  CHECK(LevelRowBytes(k3bit, 0) == 0);
  CHECK(LevelRowBytes(k3bit, 1) == 1);
  CHECK(LevelRowBytes(k3bit, 2) == 1);
  CHECK(LevelRowBytes(k3bit, 3) == 2);
  CHECK(LevelRowBytes(k4bit, 3) == 0);
  uint8_t row[2] = {};
  PutLevelNibble(row, 0, 5);
  PutLevelNibble(row, 1, 12);
  PutLevelNibble(row, 2, 15);
  CHECK(row[0] == 0xC5);
  CHECK(row[1] == 0x0F);
  CHECK(GetLevelNibble(row, 1) == 12);
  CHECK(GetLevelNibble(row, 2) == 15);
}

TEST_CASE("every code decodes to finite weights, on the highest levels too", "[decode]") {
  std::mt19937 bits(2);
  for (const Profile& profile : kProfiles) {
    const LevelTable top = Pow2Levels(profile, kMaxLevelExponent - 7);
    const LevelTable bottom = Pow2Levels(profile, kMinLevelExponent + 8);
    for (int i = 0; i < 20000; ++i) {
      BlockCode code = RandomCode(profile, bits);
      if (i % 2 == 0) {
        for (int p = 0; p < profile.rank; ++p) code.q[p] = i % 4 == 0 ? -8 : 7;
      }
      for (const LevelTable& table : {top, bottom}) {
        float weights[kMaxBlock];
        DecodeBlock(profile, code, table.scale.data(), weights);
        for (int c = 0; c < profile.block; ++c) REQUIRE(std::isfinite(weights[c]));
      }
    }
  }
}

}  // namespace
}  // namespace seedlm::codec
