// What the host tells a unit before a matrix: the 512-bit command of hardware/rtl/gemv.sv.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "kernels/codec/profile.h"

namespace seedlm::hardware {

inline constexpr int kMaxLevelShift = 27;  // octaves between a tensor's levels, at most

// A tensor's levels as integers: level i is digits[i] * 2^shift[i] * 2^unit.
struct IntegerLevels {
  std::array<uint32_t, codec::kLevels> digits{};  // 24 bits, the top one set
  std::array<int, codec::kLevels> shift{};        // [0, kMaxLevelShift]
  int unit = 0;
};

// Exact. INVALID_ARGUMENT for a level that is no normal, positive float32, or levels over more than
// kMaxLevelShift octaves.
absl::StatusOr<IntegerLevels> ToIntegerLevels(std::span<const float, codec::kLevels> scale);

// For the unit whose levels are shifts (POW2): level i is significand * 2^(shift[i] + unit), digits
// are all 2^23. The host multiplies the significand, in [1, 2), into the row scales
// (hardware/hls/host_levels.h).
struct ShiftLevels {
  IntegerLevels levels;
  float significand = 1;
};

// Exact. INVALID_ARGUMENT also for levels without a common significand: those of --scale fitted.
absl::StatusOr<ShiftLevels> ToShiftLevels(std::span<const float, codec::kLevels> scale);

struct Command {
  int lines_per_row = 1;  // [1, kMaxLines]
  int64_t rows = 1;       // [1, 2^20]
  bool keep_vector = false;
  bool row_scales = false;
  int unit = 0;  // log2 of the sums' unit: that of the levels, and -24 for float16 activations
  IntegerLevels levels;
};

// The bits, 32 at a time, the lowest first. REQUIRES: fields in their ranges.
std::array<uint32_t, 16> Encode(const Command& command);

}  // namespace seedlm::hardware
