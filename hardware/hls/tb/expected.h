// What the units should give, computed another way: the register is stepped bit by bit, rounding is
// done in float64, sums in 128 bits. Test bench only.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace test_bench {

__extension__ typedef __int128 wide_t;  // of g++ and clang, and so of the vendor's tools

inline float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// value rounded to nearest even to `digits` significant bits, the unit never below 2^lowest; above
// the largest finite value infinity. Digits and range of float16: 11, -24, 15; bfloat16: 8, -133,
// 127.
inline double round_to(double value, int digits, int lowest, int top) {
  if (value == 0 || std::isinf(value)) return value;
  const int unit = std::max(std::ilogb(value) - digits + 1, lowest);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -unit)), unit);
  return std::fabs(rounded) >= std::ldexp(1.0, top + 1) ? std::copysign(INFINITY, value) : rounded;
}

inline uint16_t float16_of(float value) {
  const double rounded = round_to(value, 11, -24, 15);
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(rounded);
  if (std::isinf(magnitude)) return sign | 0x7C00;
  if (magnitude < std::ldexp(1.0, -14)) {
    return sign | static_cast<uint16_t>(std::ldexp(magnitude, 24));
  }
  const int exponent = std::ilogb(magnitude);
  const double fraction = std::ldexp(magnitude, 10 - exponent) - 1024;
  return static_cast<uint16_t>(sign | ((exponent + 15) << 10) | static_cast<int>(fraction));
}

inline uint16_t bfloat16_of(float value) {
  const float rounded = static_cast<float>(round_to(value, 8, -133, 127));
  return static_cast<uint16_t>(bits_of(rounded) >> 16);
}

// A float16 in units of 2^-24; infinities and NaN count as 0.
inline int64_t integer_of_float16(uint16_t half) {
  const int field = (half >> 10) & 31;
  if (field == 31) return 0;
  const int64_t significand = (half & 1023) + (field != 0 ? 1024 : 0);
  const int64_t value = significand << (field == 0 ? 0 : field - 1);
  return (half & 0x8000) != 0 ? -value : value;
}

inline uint32_t next_state(uint32_t state) {
  const uint32_t fed = ((state >> 0) ^ (state >> 1) ^ (state >> 3) ^ (state >> 12)) & 1;
  return (state >> 1) | (fed << 15);
}

// The integers of a block, S_c.
inline std::vector<int64_t> sums_of(uint32_t word, int block, int rank) {
  std::vector<int64_t> sums(block, 0);
  uint32_t state = word & 0xFFFF;
  for (int c = 0; c < block; ++c) {
    for (int p = 0; p < rank; ++p) {
      state = next_state(state);
      int q = (word >> (16 + 4 * p)) & 15;
      if (q >= 8) q -= 16;
      sums[c] += q * (static_cast<int64_t>(state) - 32768);
    }
  }
  return sums;
}

// float32(sum) * scale * 2^unit, with the roundings of the matrix-vector units.
inline float row_result(wide_t sum, float row_scale, int unit) {
  const double product = double{static_cast<float>(sum)} * double{row_scale};  // exact
  return static_cast<float>(std::ldexp(product, unit));
}

}  // namespace test_bench
