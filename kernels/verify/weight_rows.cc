#include "kernels/verify/weight_rows.h"

#include <bit>

#include "kernels/backend/weight_blocks.h"

namespace seedlm::verify {

static_assert(std::endian::native == std::endian::little, "bytes are taken as they lie");

bool IsWeightType(format::DType type) {
  return type == format::DType::kF32 || type == format::DType::kF16 || type == format::DType::kBF16;
}

void Widen(format::DType type, std::span<const std::byte> bytes, std::span<float> weights) {
  const backend::WeightType weight = type == format::DType::kF32   ? backend::WeightType::kF32
                                     : type == format::DType::kF16 ? backend::WeightType::kF16
                                                                   : backend::WeightType::kBF16;
  backend::Widen(weight, bytes, weights);
}

}  // namespace seedlm::verify
