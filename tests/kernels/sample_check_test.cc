#include "kernels/verify/sample_check.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "absl/strings/match.h"

namespace seedlm::verify {
namespace {

TEST_CASE("the bias of pow2 levels is found again over its whole range") {
  for (int bias = codec::kMinLevelExponent + 8; bias <= codec::kMaxLevelExponent - 7; ++bias) {
    CAPTURE(bias);
    const codec::LevelTable table = codec::Pow2Levels(codec::k4bit, bias);
    const auto found = RecoverLevels(codec::k4bit, codec::ScaleRule::kPow2, table.scale);
    REQUIRE(found.ok());
    REQUIRE(*found == table);
  }
}

TEST_CASE("paper levels are the one table") {
  const codec::LevelTable paper = codec::PaperLevels(codec::k3bit);
  CHECK(*RecoverLevels(codec::k3bit, codec::ScaleRule::kPaper, paper.scale) == paper);
  const auto other = RecoverLevels(codec::k3bit, codec::ScaleRule::kPaper,
                                   codec::Pow2Levels(codec::k3bit, 1).scale);
  REQUIRE_FALSE(other.ok());
  CHECK(absl::StrContains(other.status().message(), "rule paper"));
}

TEST_CASE("fitted levels are taken as they are") {
  std::array<float, codec::kLevels> scale{};
  scale.fill(0.5f);
  const auto levels = RecoverLevels(codec::k4bit, codec::ScaleRule::kFitted, scale);
  REQUIRE(levels.ok());
  CHECK(levels->scale == scale);
  CHECK(levels->rule == codec::ScaleRule::kFitted);
}

}  // namespace
}  // namespace seedlm::verify
