#include "server/storage/part_plan.h"

#include <catch2/catch.hpp>

#include "server/storage/s3/client.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST_CASE("parts: cut at v - 1, v, v + 1") {
  struct Row {
    int64_t size;
    int parts;
    int64_t last;
  };
  const Row row =
      GENERATE(Row{1, 1, 1}, Row{8 * kMiB - 1, 1, 8 * kMiB - 1}, Row{8 * kMiB, 1, 8 * kMiB},
               Row{8 * kMiB + 1, 2, 1}, Row{24 * kMiB, 3, 8 * kMiB});
  const PartPlan plan(row.size, 8 * kMiB);
  CHECK(plan.parts() == row.parts);
  CHECK(plan.part(row.parts - 1).size == row.last);
  CHECK(plan.part(row.parts - 1).number == row.parts);
}

TEST_CASE("parts: never more than a server takes, and all of the file") {
  for (const int64_t size :
       {int64_t{80'000} * kMiB, int64_t{80'000} * kMiB + 1, int64_t{5} * kMiB * kMiB}) {
    const PartPlan plan(size, 8 * kMiB);
    CHECK(plan.parts() <= s3::kMaxParts);
    const FilePart last = plan.part(plan.parts() - 1);
    CHECK(last.offset + last.size == size);
    CHECK(plan.part_bytes() % kMiB == 0);
  }
}

TEST_CASE("parts: whole when the last of their bytes comes, in any order") {
  PartPlan plan(25, 10);
  CHECK(plan.Add(5, 10)->empty());
  const auto first = plan.Add(0, 5);
  REQUIRE(first->size() == 1);
  CHECK(first->front().number == 1);
  CHECK(plan.Add(24, 1)->empty());
  CHECK_FALSE(plan.complete());
  const auto others = plan.Add(15, 9);
  REQUIRE(others->size() == 2);
  CHECK(others->front().offset == 10);
  CHECK(others->back().size == 5);
  CHECK(plan.complete());
}

TEST_CASE("parts: bytes that are given twice, or are not the file's") {
  PartPlan plan(25, 10);
  REQUIRE(plan.Add(0, 10).ok());
  CHECK_THAT(plan.Add(9, 1).status(), IsStatus(absl::StatusCode::kInternal, {"twice"}));
  for (const auto& [offset, length] : {std::pair<int64_t, int64_t>{-1, 2}, {24, 2}, {26, 0}}) {
    CHECK_THAT(plan.Add(offset, length).status(),
               IsStatus(absl::StatusCode::kInternal, {"outside"}));
  }
}

}  // namespace
}  // namespace seedlm::server
