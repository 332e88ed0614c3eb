#include "kernels/verify/weight_rows.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "kernels/codec/narrow.h"

namespace seedlm::verify {
namespace {

static_assert(std::endian::native == std::endian::little, "bytes are taken as they lie");

constexpr uint64_t kPieceBytes = uint64_t{4} << 20;  // resident at a time

}  // namespace

bool IsWeightType(format::DType type) {
  return type == format::DType::kF32 || type == format::DType::kF16 || type == format::DType::kBF16;
}

void Widen(format::DType type, std::span<const std::byte> bytes, std::span<float> weights) {
  if (type == format::DType::kF32) {
    std::memcpy(weights.data(), bytes.data(), weights.size_bytes());
    return;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, bytes.data() + i * sizeof half, sizeof half);
    weights[i] = type == format::DType::kF16 ? codec::FromFloat16(half) : codec::FromBfloat16(half);
  }
}

void Narrow(format::DType type, std::span<const float> weights, std::span<std::byte> bytes) {
  if (type == format::DType::kF32) {
    std::memcpy(bytes.data(), weights.data(), weights.size_bytes());
    return;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint16_t half =
        type == format::DType::kF16 ? codec::ToFloat16(weights[i]) : codec::ToBfloat16(weights[i]);
    std::memcpy(bytes.data() + i * sizeof half, &half, sizeof half);
  }
}

}  // namespace seedlm::verify
