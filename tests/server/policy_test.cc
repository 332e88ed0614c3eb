#include "server/scheduler/policy.h"

#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <vector>

#include "server/errors/reason.h"
#include "server/scheduler/owner_shares.h"
#include "server/scheduler/scheduler.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

TEST_CASE("which job is next") {
  struct Case {
    std::string what;
    std::vector<JobView> jobs;  // {priority, order, has_work, served}
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
      {"who was served least", {{0, 1, true, 7}, {0, 2, true, 5}, {0, 3, true, 6}}, 1},
      {"no priority gets ahead of another owner", {{100, 1, true, 7}, {-100, 2, true, 5}}, 1},
      {"priority within an owner", {{0, 1, true, 5}, {1, 2, true, 5}, {9, 3, true, 6}}, 1},
      {"who was served least but has nothing", {{0, 1, false, 0}, {0, 2, true, 9}}, 1},
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

TEST_CASE("rows of a piece: as many as the weights asked for hold, at least one, at most all") {
  CHECK(RowPieces(100, 64, 640).size == 10);
  CHECK(RowPieces(100, 64, 640 - 1).size == 9);
  CHECK(RowPieces(100, 64, 640 + 1).size == 10);
  CHECK(RowPieces(100, 64, 63).size == 1);  // a row is never cut
  CHECK(RowPieces(100, 64, 64).size == 1);
  CHECK(RowPieces(3, 64, int64_t{1} << 40).size == 3);
  CHECK(RowPieces(1, int64_t{1} << 40, 1).count() == 1);
}

TEST_CASE("a worker is given several shards at a time, and fewer towards the end") {
  CHECK(StreamPieceBytes(1000, 2, 80) == 80);
  CHECK(StreamPieceBytes(60, 2, 80) == 30);
  CHECK(StreamPieceBytes(60, 8, 80) == 7);  // less than a shard: one
  CHECK(StreamPieceBytes(0, 1, 80) == 0);
  // However large the job: several workers end with a shard each.
  for (const int64_t workers : {1, 2, 7}) {
    int64_t left = 100'000, taken = 0;
    for (int64_t last = std::numeric_limits<int64_t>::max(); left > 0; left -= taken) {
      taken = std::min(left, std::max<int64_t>(10, StreamPieceBytes(left, workers, 80)));
      CHECK(taken <= last);
      last = taken;
    }
    CHECK(taken <= (workers == 1 ? 80 : 10));
  }
}

TEST_CASE("a shard of float32 has 1 to 16 MiB, whatever the length of rows") {
  constexpr int64_t kRows = int64_t{1} << 24;
  for (const int64_t columns : {int64_t{1}, int64_t{4096}, int64_t{150'000}, (int64_t{1} << 18) - 1,
                                (int64_t{1} << 18) + 1, kMaxRowWeights}) {
    INFO(columns << " columns");
    const int64_t bytes = RowPieces(kRows, columns, kDefaultShardWeights).size * columns * 4;
    CHECK(bytes >= int64_t{1} << 20);
    CHECK(bytes <= int64_t{16} << 20);
  }
}

TEST_CASE("a tensor whose rows are too long is refused by name, with the way out") {
  format::TensorInfo tensor{"long.weight", format::DType::kBF16, {2, kMaxRowWeights}, 0, 0};
  format::CompressionPlan plan;
  plan.tensors.push_back({0, &tensor, true, ""});
  CHECK(CheckRowLengths(plan).ok());
  ++tensor.shape[1];
  const absl::Status status = CheckRowLengths(plan);
  CHECK_THAT(status,
             IsStatus(absl::StatusCode::kInvalidArgument, {"long.weight", "4194305", "exclude"}));
  CHECK(ReasonOf(status) == "ROW_TOO_LONG");
  CHECK(DetailsOf(status)["tensor"] == "long.weight");
  plan.tensors[0].compressed = false;
  CHECK(CheckRowLengths(plan).ok());
}

TEST_CASE("a full queue is not now, not never") {
  CHECK(CheckQueue(0, 1).ok());
  CHECK(CheckQueue(9, 10).ok());
  for (const int active : {10, 11}) {
    const absl::Status status = CheckQueue(active, 10);
    CHECK(absl::IsResourceExhausted(status));
    CHECK(ReasonOf(status) == "QUEUE_FULL");
    CHECK(RetryAfterOf(status) == std::chrono::seconds(10));
  }
}

TEST_CASE("shares of the workers' time") {
  OwnerShares shares;
  CHECK(shares.Served("a") == 0);
  shares.Charge("a", 5);  // nobody
  CHECK(shares.Served("a") == 0);
  shares.Enter("a");
  shares.Enter("a");
  shares.Charge("a", 100);
  CHECK(shares.Served("a") == 100);
  CHECK(shares.Jobs("a") == 2);
  SECTION("who comes later begins with the least, not with nothing") {
    shares.Enter("b");
    CHECK(shares.Served("b") == 100);
    shares.Charge("a", 50);
    shares.Enter("c");
    CHECK(shares.Served("c") == 100);
  }
  SECTION("a job less is not forgotten, the last one is") {
    shares.Leave("a");
    CHECK(shares.Served("a") == 100);
    shares.Leave("a");
    CHECK(shares.Served("a") == 0);
    CHECK(shares.Jobs("a") == 0);
  }
}

// Owners with many jobs and with one, pieces of unequal length: after every piece nobody is behind
// another by more than the longest piece of each.
TEST_CASE("who has work is never far behind") {
  struct Owner {
    std::string name;
    int jobs;
    int64_t piece;
  };
  const std::vector<Owner> owners = {{"many", 50, 30}, {"long", 2, 100}, {"one", 1, 7}};
  OwnerShares shares;
  for (const Owner& owner : owners) {
    for (int i = 0; i < owner.jobs; ++i) shares.Enter(owner.name);
  }
  for (int step = 0; step < 2000; ++step) {
    std::vector<JobView> views;
    std::vector<const Owner*> of;
    for (const Owner& owner : owners) {
      for (int i = 0; i < owner.jobs; ++i) {
        const auto order = static_cast<int64_t>(views.size());
        views.push_back({owner.name == "many" ? 100 : 0, order, true, shares.Served(owner.name)});
        of.push_back(&owner);
      }
    }
    const Owner& next = *of[PickJob(views).value()];
    shares.Charge(next.name, next.piece);
    for (const Owner& a : owners) {
      for (const Owner& b : owners) {
        REQUIRE(shares.Served(a.name) - shares.Served(b.name) <= a.piece);
      }
    }
  }
}

}  // namespace
}  // namespace seedlm::server
