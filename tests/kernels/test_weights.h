// Weights of every kind that a search must get right.
#pragma once

#include <cmath>
#include <random>
#include <string_view>
#include <vector>

#include "kernels/codec/narrow.h"

namespace seedlm::testing {

enum class Kind { kGaussian, kHeavyTailed, kBfloat16, kSparse, kConstant, kZero, kTiny, kHuge };

inline constexpr Kind kKinds[] = {Kind::kGaussian, Kind::kHeavyTailed, Kind::kBfloat16,
                                  Kind::kSparse,   Kind::kConstant,    Kind::kZero,
                                  Kind::kTiny,     Kind::kHuge};

inline const char* Name(Kind kind) {
  constexpr const char* kNames[] = {"gaussian", "heavy-tailed", "bfloat16", "sparse",
                                    "constant", "zero",         "tiny",     "huge"};
  return kNames[static_cast<int>(kind)];
}

inline std::vector<float> MakeWeights(Kind kind, size_t count, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::student_t_distribution<float> student(2);
  std::vector<float> weights(count);
  const float constant = normal(bits);
  for (float& w : weights) {
    switch (kind) {
      case Kind::kGaussian:
        w = normal(bits);
        break;
      case Kind::kHeavyTailed:
        w = 0.01f * student(bits);
        break;
      case Kind::kBfloat16:
        w = codec::FromBfloat16(codec::ToBfloat16(normal(bits)));
        break;
      case Kind::kSparse:
        w = bits() % 8 == 0 ? normal(bits) : 0.0f;
        break;
      case Kind::kConstant:
        w = constant;
        break;
      case Kind::kZero:
        w = bits() % 2 == 0 ? 0.0f : -0.0f;
        break;
      case Kind::kTiny:
        w = normal(bits) * 1e-40f;
        break;
      case Kind::kHuge:
        w = normal(bits) * 1e38f;
        break;
    }
  }
  return weights;
}

}  // namespace seedlm::testing
