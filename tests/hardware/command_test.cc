#include "hardware/sim/command.h"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>

#include "absl/strings/match.h"
#include "hardware/hls/host_levels.h"
#include "kernels/codec/levels.h"
#include "kernels/codec/profile.h"

namespace seedlm::hardware {
namespace {

using Scale = std::array<float, codec::kLevels>;

Scale Octaves(int span) {
  Scale scale;
  scale.fill(1.5f);
  scale[7] = std::ldexp(1.25f, span);
  return scale;
}

TEST_CASE("levels become integers, exactly", "[command]") {
  const Scale scale = Octaves(kMaxLevelShift);
  const absl::StatusOr<IntegerLevels> levels = ToIntegerLevels(scale);
  REQUIRE(levels.ok());
  for (size_t i = 0; i < scale.size(); ++i) {
    CHECK(std::ldexp(static_cast<double>(levels->digits[i]), levels->shift[i] + levels->unit) ==
          scale[i]);
  }
  CHECK(levels->shift[0] == 0);
  CHECK(levels->shift[7] == 27);
  CHECK(levels->unit == -23);
}

TEST_CASE("levels that the unit cannot take are refused", "[command]") {
  CHECK(absl::StrContains(ToIntegerLevels(Octaves(28)).status().message(), "over 28 octaves"));
  for (const float bad : {0.0f, -1.0f, 1e-39f, INFINITY, NAN}) {
    Scale scale = Octaves(1);
    scale[3] = bad;
    CHECK(absl::IsInvalidArgument(ToIntegerLevels(scale).status()));
  }
}

TEST_CASE("levels of one significand are shifts, the significand goes into the row scales",
          "[command]") {
  for (const codec::LevelTable& table :
       {codec::PaperLevels(codec::k4bit), codec::Pow2Levels(codec::k4bit, -9)}) {
    const absl::StatusOr<ShiftLevels> shifts = ToShiftLevels(table.scale);
    REQUIRE(shifts.ok());
    float row_scale = 3.0f;
    seedlm_hls::fold_significand(shifts->significand, &row_scale, 1);
    for (size_t i = 0; i < table.scale.size(); ++i) {
      CHECK(shifts->levels.digits[i] == 0x800000);
      CHECK(std::ldexp(row_scale, shifts->levels.shift[i] + shifts->levels.unit) ==
            3.0f * table.scale[i]);
    }
  }
  Scale scale = Octaves(1);  // 1.5 and 2.5
  CHECK(absl::StrContains(ToShiftLevels(scale).status().message(), "no significand in common"));
  scale.fill(1.5f);
  CHECK(ToShiftLevels(scale).ok());
  scale[2] = INFINITY;
  CHECK(absl::IsInvalidArgument(ToShiftLevels(scale).status()));
}

TEST_CASE("a command's fields lie where the RTL reads them", "[command]") {
  Command command;
  command.lines_per_row = 256;
  command.rows = 0x54322;
  command.keep_vector = true;
  command.unit = -3;
  command.levels.digits.fill(0x800000);
  command.levels.digits[1] = 0xFFFFFF;
  command.levels.shift[15] = 27;
  const std::array<uint32_t, 16> bits = Encode(command);
  CHECK(bits[0] == (0xFFu | (0x54321u << 8) | (1u << 28) | (1u << 30)));  // -3 ends with 01
  CHECK(bits[1] == 0x3FFu);
  CHECK(bits[2] == 0xF0000000u);  // level 1 begins at bit 92
  CHECK(bits[3] == 0x0007FFFFu);
  CHECK(bits[15] == 27u << 27);
  command.row_scales = true;
  CHECK(Encode(command)[0] == (bits[0] | (1u << 29)));
}

}  // namespace
}  // namespace seedlm::hardware
