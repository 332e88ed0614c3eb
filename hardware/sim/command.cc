#include "hardware/sim/command.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "hardware/hls/host_levels.h"
#include "kernels/codec/narrow.h"

namespace seedlm::hardware {
namespace {

constexpr int kFractionBits = 23;
constexpr int kUnitBias = 150;  // a float32's significand is in units of 2^(field - 150)

void Put(std::array<uint32_t, 16>& bits, int low, int width, uint64_t value) {
  for (int i = 0; i < width; ++i) {
    const int at = low + i;
    bits[static_cast<size_t>(at / 32)] |= static_cast<uint32_t>((value >> i) & 1u) << (at % 32);
  }
}

}  // namespace

absl::StatusOr<IntegerLevels> ToIntegerLevels(std::span<const float, codec::kLevels> scale) {
  int lowest = 255, highest = 0;
  for (const float level : scale) {
    const uint32_t bits = codec::FloatBits(level);
    const int field = static_cast<int>(bits >> kFractionBits);  // the sign would make it > 255
    if (field == 0 || field >= 255) {
      return absl::InvalidArgumentError(
          absl::StrCat("level ", level, " is no normal, positive float32"));
    }
    lowest = std::min(lowest, field);
    highest = std::max(highest, field);
  }
  if (highest - lowest > kMaxLevelShift) {
    return absl::InvalidArgumentError(absl::StrCat("levels lie over ", highest - lowest,
                                                   " octaves, the unit takes ", kMaxLevelShift));
  }
  IntegerLevels levels;
  levels.unit = lowest - kUnitBias;
  for (size_t i = 0; i < scale.size(); ++i) {
    const uint32_t bits = codec::FloatBits(scale[i]);
    levels.digits[i] = (bits & 0x7FFFFFu) | 0x800000u;
    levels.shift[i] = static_cast<int>(bits >> kFractionBits) - lowest;
  }
  return levels;
}

absl::StatusOr<ShiftLevels> ToShiftLevels(std::span<const float, codec::kLevels> scale) {
  absl::StatusOr<IntegerLevels> levels = ToIntegerLevels(scale);
  if (!levels.ok()) return levels.status();
  std::array<uint32_t, codec::kLevels> bits;
  for (size_t i = 0; i < scale.size(); ++i) bits[i] = codec::FloatBits(scale[i]);
  ShiftLevels shifts{*std::move(levels)};
  if (!seedlm_hls::common_significand(bits.data(), shifts.significand)) {
    return absl::InvalidArgumentError(
        "levels have no significand in common, so they are no shifts");
  }
  shifts.levels.digits.fill(1u << kFractionBits);
  shifts.levels.unit += kFractionBits;
  return shifts;
}

std::array<uint32_t, 16> Encode(const Command& command) {
  std::array<uint32_t, 16> bits{};
  Put(bits, 0, 8, static_cast<uint64_t>(command.lines_per_row - 1));
  Put(bits, 8, 20, static_cast<uint64_t>(command.rows - 1));
  Put(bits, 28, 1, command.keep_vector ? 1 : 0);
  Put(bits, 29, 1, command.row_scales ? 1 : 0);
  Put(bits, 30, 12, static_cast<uint64_t>(static_cast<int64_t>(command.unit)));
  for (int i = 0; i < codec::kLevels; ++i) {
    const size_t level = static_cast<size_t>(i);
    Put(bits, 64 + 28 * i, 23, command.levels.digits[level] & 0x7FFFFFu);
    Put(bits, 64 + 28 * i + 23, 5, static_cast<uint64_t>(command.levels.shift[level]));
  }
  return bits;
}

}  // namespace seedlm::hardware
