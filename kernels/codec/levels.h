// The 16 float32 levels of a tensor. All arithmetic is float64 on correctly rounded constants and
// ldexp, rounded once to float32, so the same table has the same bits on every machine.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/codec/profile.h"

namespace seedlm::codec {

// What the encoder needs to know of a tensor's levels. `scale` alone is stored and decoded.
struct LevelTable {
  std::array<float, kLevels> scale{};
  ScaleRule rule = ScaleRule::kFitted;
  int bias = 0;  // kPaper (always 0) and kPow2: scale[i] = 2^(bias + int4(i)) / (2^(K-1) - 1)

  bool operator==(const LevelTable&) const = default;
};

// Levels stay inside 2^[-111, 122] / (2^(K-1) - 1): every level is a normal float32 and every code
// decodes to a finite one (|S| / (2^(K-1) - 1) < 2^6).
inline constexpr int kMinLevelExponent = -111;
inline constexpr int kMaxLevelExponent = 122;

constexpr int Int4(int pattern) { return pattern >= 8 ? pattern - 16 : pattern; }

// The design grid: positions in eighths of an octave.
inline constexpr int kPositionsPerOctave = 8;

// 2^(position / 8).
inline double PowerAt(int position) {
  constexpr double kRoots[kPositionsPerOctave] = {// 2^(j/8), correctly rounded
                                                  1.0,
                                                  0x1.172b83c7d517bp+0,
                                                  0x1.306fe0a31b715p+0,
                                                  0x1.4bfdad5362a27p+0,
                                                  0x1.6a09e667f3bcdp+0,
                                                  0x1.8ace5422aa0dbp+0,
                                                  0x1.ae89f995ad3adp+0,
                                                  0x1.d5818dcfba487p+0};
  const int octave = position >= 0 ? position / kPositionsPerOctave
                                   : -((-position + kPositionsPerOctave - 1) / kPositionsPerOctave);
  const int step = position - octave * kPositionsPerOctave;
  return std::ldexp(kRoots[step], octave);
}

// The level at a position: 2^(position / 8) / (2^(K-1) - 1).
inline float LevelAt(int position, int32_t unit) {
  return static_cast<float>(PowerAt(position) / unit);
}

// scale[i] = 2^(bias + int4(i)) / (2^(K-1) - 1).
// REQUIRES: kMinLevelExponent + 8 <= bias <= kMaxLevelExponent - 7.
inline LevelTable Pow2Levels(const Profile& profile, int bias) {
  LevelTable table;
  table.rule = ScaleRule::kPow2;
  table.bias = bias;
  for (int i = 0; i < kLevels; ++i) {
    table.scale[i] = LevelAt((bias + Int4(i)) * kPositionsPerOctave, profile.unit());
  }
  return table;
}

inline LevelTable PaperLevels(const Profile& profile) {
  LevelTable table = Pow2Levels(profile, 0);
  table.rule = ScaleRule::kPaper;
  return table;
}

}  // namespace seedlm::codec
