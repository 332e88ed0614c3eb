// Weights in all types that can be compressed, for the stages of cuda_check.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <vector>

#include "kernels/backend/shard.h"
#include "kernels/codec/narrow.h"

namespace seedlm::bench {

inline constexpr backend::WeightType kTypes[] = {
    backend::WeightType::kF32, backend::WeightType::kF16, backend::WeightType::kBF16};

inline const char* Name(backend::WeightType type) {
  if (type == backend::WeightType::kF32) return "float32";
  return type == backend::WeightType::kF16 ? "float16" : "bfloat16";
}

inline std::vector<std::byte> Narrowed(backend::WeightType type,
                                       const std::vector<float>& weights) {
  std::vector<std::byte> bytes(weights.size() * static_cast<size_t>(backend::ByteWidth(type)));
  for (size_t i = 0; i < weights.size(); ++i) {
    if (type == backend::WeightType::kF32) {
      std::memcpy(&bytes[4 * i], &weights[i], 4);
      continue;
    }
    const uint16_t bits = type == backend::WeightType::kF16 ? codec::ToFloat16(weights[i])
                                                            : codec::ToBfloat16(weights[i]);
    std::memcpy(&bytes[2 * i], &bits, 2);
  }
  return bytes;
}

inline bool Near(double a, double b, double tolerance) {
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

}  // namespace seedlm::bench
