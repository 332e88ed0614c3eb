#include "client/text.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

namespace seedlm::client {
namespace {

TEST_CASE("three digits and a prefix") {
  CHECK(FormatBytes(0) == "0 B");
  CHECK(FormatBytes(999) == "999 B");
  CHECK(FormatBytes(1000) == "1.00 kB");
  CHECK(FormatBytes(999'499) == "999 kB");
  CHECK(FormatBytes(999'500) == "1.00 MB");
  CHECK(FormatBytes(90'868'376) == "90.9 MB");
  CHECK(FormatBytes(UINT64_MAX) == "18447 PB");
  CHECK(FormatCount(22'713'216) == "22.7 M");
  CHECK(FormatCount(7) == "7");
  CHECK(FormatRate(123'456) == "123 k weights/s");
  CHECK(FormatRate(std::nan("")) == "0 weights/s");
}

TEST_CASE("durations") {
  CHECK(FormatDuration(0) == "0.0 s");
  CHECK(FormatDuration(9.94) == "9.9 s");
  CHECK(FormatDuration(9.96) == "10 s");
  CHECK(FormatDuration(59.4) == "59 s");
  CHECK(FormatDuration(59.6) == "1m00s");
  CHECK(FormatDuration(185) == "3m05s");
  CHECK(FormatDuration(7620) == "2h07m");
  CHECK(FormatDuration(-1) == "-");
  CHECK(FormatDuration(std::nan("")) == "-");
}

TEST_CASE("shares") {
  CHECK(FormatPercent(1, 3) == "33.3 %");
  CHECK(FormatPercent(0, 0) == "0.0 %");
}

TEST_CASE("tensors that are identical") {
  CHECK(FormatIdentical(0).empty());
  CHECK(FormatIdentical(1) == "1 other tensor is byte-identical\n");
  CHECK(FormatIdentical(3) == "3 other tensors are byte-identical\n");
}

TEST_CASE("shapes and names") {
  CHECK(FormatShape(std::vector<int64_t>{384, 1536}) == "[384, 1536]");
  CHECK(FormatShape({}) == "[]");
  CHECK(Ellipsis("model.layer", 11) == "model.layer");
  CHECK(Ellipsis("model.layer", 10) == "...l.layer");
  CHECK(Ellipsis("model.layer", 2) == "er");
  CHECK(Ellipsis("\u00e9\u00e8\u00ea\u00e0\u00f9", 5) == "\u00e9\u00e8\u00ea\u00e0\u00f9");
  CHECK(Ellipsis("\u00e9\u00e8\u00ea\u00e0\u00f9", 4) == "...\u00f9");
  CHECK(Ellipsis("\u00e9\u00e8\u00ea\u00e0\u00f9", 1) == "\u00f9");
}

}  // namespace
}  // namespace seedlm::client
