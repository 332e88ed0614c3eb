// Element types of safetensors.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace seedlm::format {

enum class DType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kI64,
  kU64,
  kF64,
  kC64,
};

// The name in a safetensors header: "BF16", "F8_E4M3", ..
std::string_view Name(DType type);
std::optional<DType> ParseDType(std::string_view name);
// 4 and 6 for the sub-byte types; a tensor's total is always whole bytes.
int BitWidth(DType type);

}  // namespace seedlm::format
