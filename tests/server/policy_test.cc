#include "server/scheduler/policy.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace seedlm::server {
namespace {

TEST_CASE("which job is next") {
  struct Case {
    std::string what;
    std::vector<JobView> jobs;  // {priority, order, has_work}
    std::optional<size_t> next;
  };
  const std::vector<Case> cases = {
      {"no job", {}, std::nullopt},
      {"none has work", {{0, 1, false}, {5, 2, false}}, std::nullopt},
      {"the only one", {{0, 1, true}}, 0},
      {"the oldest of equals", {{0, 2, true}, {0, 1, true}, {0, 3, true}}, 1},
      {"priority before age", {{0, 1, true}, {1, 2, true}}, 1},
      {"negative priorities last", {{-1, 1, true}, {0, 2, true}}, 1},
      {"workers do not wait for the first job", {{9, 1, false}, {0, 2, true}}, 1},
      {"age among the most urgent", {{3, 5, true}, {3, 4, true}, {1, 1, true}, {3, 2, false}}, 1},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    CHECK(PickJob(c.jobs) == c.next);
  }
}

TEST_CASE("pieces cover a range without gap or overlap") {
  for (const int64_t total : {1, 2, 7, 8, 9, 100}) {
    for (const int64_t size : {1, 2, 8, 99, 100, 101}) {
      INFO(total << " in pieces of " << size);
      const Pieces pieces{total, size};
      int64_t end = 0;
      for (int64_t i = 0; i < pieces.count(); ++i) {
        CHECK(pieces.begin(i) == end);
        CHECK(pieces.length(i) >= 1);
        CHECK(pieces.length(i) <= size);
        end += pieces.length(i);
      }
      CHECK(end == total);
    }
  }
}

TEST_CASE("rows of a piece: about the weights asked for, at least one, at most all") {
  CHECK(RowPieces(100, 64, 640).size == 10);
  CHECK(RowPieces(100, 64, 640 + 63).size == 10);
  CHECK(RowPieces(100, 64, 63).size == 1);  // a row is never cut
  CHECK(RowPieces(100, 64, 64).size == 1);
  CHECK(RowPieces(3, 64, int64_t{1} << 40).size == 3);
  CHECK(RowPieces(1, int64_t{1} << 40, 1).count() == 1);
}

}  // namespace
}  // namespace seedlm::server
