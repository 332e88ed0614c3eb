#include "kernels/verify/weight_rows.h"

#include <bit>
#include <cstring>

#include "kernels/codec/narrow.h"

namespace seedlm::verify {

static_assert(std::endian::native == std::endian::little, "bytes are taken as they lie");

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

}  // namespace seedlm::verify
