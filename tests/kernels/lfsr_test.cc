#include "kernels/codec/lfsr.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "kernels/codec/basis.h"

namespace seedlm::codec {
namespace {

TEST_CASE("every width has the full period", "[lfsr]") {
  for (int width = kMinLfsrWidth; width <= kMaxLfsrWidth; ++width) {
    CAPTURE(width);
    uint32_t state = 1;
    uint32_t period = 0;
    do {
      state = NextState(state, width);
      ++period;
    } while (state != 1 && period < (1u << width));
    CHECK(period == (1u << width) - 1);
    CHECK(NextState(0, width) == 0);
  }
}

TEST_CASE("states follow the golden vectors", "[lfsr]") {
  std::ifstream file(SEEDLM_TEST_DATA "/vectors/lfsr.txt");
  REQUIRE(file);
  int checked = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    int width = 0;
    uint32_t state = 0;
    std::string taps, arrow;
    fields >> width >> taps >> state >> arrow;
    CAPTURE(line);
    uint32_t mask = 0;
    std::istringstream tap_list(taps);
    for (std::string tap; std::getline(tap_list, tap, ',');) mask |= 1u << std::stoi(tap);
    CHECK(mask == LfsrTaps(width));
    for (uint32_t expected = 0; fields >> expected;) {
      state = NextState(state, width);
      REQUIRE(state == expected);
      ++checked;
    }
  }
  CHECK(checked >= 224);
}

TEST_CASE("the basis of the paper's figure 4", "[lfsr]") {
  const Profile profile{"figure 4", 4, 2, 3};
  const Basis basis = MakeBasis(profile, 4);
  const int expected[4][2] = {{2, 5}, {6, 7}, {3, 1}, {4, 2}};
  for (int c = 0; c < 4; ++c) {
    for (int p = 0; p < 2; ++p) CHECK(basis.at[c][p] + profile.centre() == expected[c][p]);
  }
}

TEST_CASE("column p of a seed is column p-1 of the next state", "[lfsr]") {
  const Basis now = MakeBasis(k4bit, 0xACE1);
  const Basis next = MakeBasis(k4bit, NextState(0xACE1, 16));
  for (int c = 0; c < 8; ++c) {
    for (int p = 1; p < 3; ++p) CHECK(now.at[c][p] == next.at[c][p - 1]);
  }
}

}  // namespace
}  // namespace seedlm::codec
