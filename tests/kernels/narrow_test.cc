#include "kernels/codec/narrow.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

namespace seedlm::codec {
namespace {

// The value of a half by its definition, in double.
double HalfValue(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

TEST_CASE("every finite half widens to its value and narrows back", "[narrow]") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (((half >> 10) & 31) == 31) continue;
    const float wide = FromFloat16(half);
    REQUIRE(static_cast<double>(wide) == HalfValue(half));
    REQUIRE(ToFloat16(wide) == half);
  }
}

TEST_CASE("float16 rounds midpoints to even and their neighbours to the nearest", "[narrow]") {
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const auto high = static_cast<uint16_t>(bits + 1);
    const auto middle = static_cast<float>((HalfValue(low) + HalfValue(high)) / 2);
    REQUIRE(ToFloat16(middle) == (low % 2 == 0 ? low : high));
    REQUIRE(ToFloat16(std::nextafter(middle, 0.0f)) == low);
    REQUIRE(ToFloat16(std::nextafter(middle, 1e9f)) == high);
    REQUIRE(ToFloat16(-middle) == (ToFloat16(middle) | 0x8000));
  }
}

TEST_CASE("float16 at its limits", "[narrow]") {
  CHECK(ToFloat16(65504.0f) == 0x7BFF);
  CHECK(ToFloat16(std::nextafter(65520.0f, 0.0f)) == 0x7BFF);
  CHECK(ToFloat16(65520.0f) == 0x7C00);
  CHECK(ToFloat16(std::numeric_limits<float>::infinity()) == 0x7C00);
  CHECK(ToFloat16(-0.0f) == 0x8000);
  CHECK(std::isnan(FromFloat16(ToFloat16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST_CASE("bfloat16 rounds to nearest even", "[narrow]") {
  for (uint32_t bits = 0; bits < 0x7F7F; ++bits) {
    const auto low = static_cast<uint16_t>(bits);
    const float middle = FloatFromBits((bits << 16) | 0x8000u);
    REQUIRE(ToBfloat16(FromBfloat16(low)) == low);
    REQUIRE(ToBfloat16(middle) == (low % 2 == 0 ? low : low + 1));
    REQUIRE(ToBfloat16(FloatFromBits((bits << 16) | 0x7FFFu)) == low);
    REQUIRE(ToBfloat16(FloatFromBits((bits << 16) | 0x8001u)) == low + 1);
  }
  CHECK(ToBfloat16(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(std::isnan(FromBfloat16(ToBfloat16(FloatFromBits(0x7F800001u)))));
}

}  // namespace
}  // namespace seedlm::codec
