#include "client/table.h"

#include <catch2/catch.hpp>

namespace seedlm::client {
namespace {

TEST_CASE("columns are as wide as their widest cell, aligned as asked") {
  Table table({{"NAME"}, {"BITS", Align::kRight}, {"NOTE"}});
  table.AddRow({"a.weight", "4.000", "x"});
  table.AddRow({"b", "16", ""});
  CHECK(table.Render() ==
        "NAME       BITS  NOTE\n"
        "a.weight  4.000  x\n"
        "b            16\n");
}

TEST_CASE("an empty table is its title") {
  const Table table({{"A"}, {"B"}});
  CHECK(table.empty());
  CHECK(table.Render() == "A  B\n");
}

TEST_CASE("control characters are shown, other bytes counted as code points") {
  Table table({{"N"}, {"M"}});
  table.AddRow(
      {"gr\xC3\xB6\xC3\x9F"
       "e",
       "1"});
  table.AddRow({"a\033[31m\n", "2"});
  CHECK(table.Render() ==
        "N              M\n"
        "gr\xC3\xB6\xC3\x9F"
        "e          1\n"
        "a\\x1b[31m\\x0a  2\n");
}

}  // namespace
}  // namespace seedlm::client
