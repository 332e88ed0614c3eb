#include "kernels/format/dtype.h"

#include <array>

namespace seedlm::format {
namespace {

struct Entry {
  std::string_view name;
  int bits;
};

// In the order of the enumeration.
constexpr std::array<Entry, 20> kEntries{{
    {"BOOL", 8},    {"U8", 8},   {"I8", 8},      {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"I16", 16},
    {"U16", 16},    {"F16", 16}, {"BF16", 16},   {"I32", 32},    {"U32", 32},
    {"F32", 32},    {"I64", 64}, {"U64", 64},    {"F64", 64},    {"C64", 64},
}};
static_assert(static_cast<size_t>(DType::kC64) + 1 == kEntries.size());

}  // namespace

std::string_view Name(DType type) { return kEntries[static_cast<size_t>(type)].name; }

std::optional<DType> ParseDType(std::string_view name) {
  for (size_t i = 0; i < kEntries.size(); ++i) {
    if (kEntries[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

int BitWidth(DType type) { return kEntries[static_cast<size_t>(type)].bits; }

}  // namespace seedlm::format
