#include "server/scheduler/work_log.h"

#include <catch2/catch.hpp>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/flaky_job_store.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;
using std::chrono::milliseconds;
using Steps = std::vector<std::string>;

// Takes RecordWork alone; writes down what happened, in order.
class RecordingStore : public FlakyJobStore {
 public:
  RecordingStore() : FlakyJobStore(nullptr, nullptr) {}
  absl::Status RecordWork(std::string_view name, const WorkBatch& batch) override {
    CHECK(name == "jobs/a");
    steps.push_back("record " + std::to_string(batch.levels.size()) + " " +
                    std::to_string(batch.pieces.size()) + " " +
                    std::to_string(batch.finished.size()));
    if (busy-- > 0) return absl::UnavailableError("locked");
    pieces += batch.pieces.size();
    return error;
  }
  int busy = 0;  // so often
  Steps steps;
  size_t pieces = 0;
  absl::Status error;
};

struct LogFixture {
  WorkLog Make(milliseconds interval) {
    return WorkLog({&store,
                    [this] {
                      store.steps.emplace_back("sync");
                      return sync_error;
                    },
                    [this](std::string_view step) { store.steps.emplace_back(step); },
                    stop.get_token(), patience},
                   "jobs/a", interval);
  }
  RecordingStore store;
  absl::Status sync_error;
  std::stop_source stop;
  milliseconds patience{60'000};
};

TEST_CASE_METHOD(LogFixture, "bytes are synced, then their rows are recorded") {
  WorkLog log = Make(milliseconds(0));
  log.Add(LevelsRecord{});
  log.Add(PieceRecord{0, 0, 1});
  log.Add(PieceRecord{0, 1, 2});
  log.Add(FinishedTensor{});
  CHECK_FALSE(log.recorded());
  REQUIRE(log.Commit().ok());
  CHECK(store.steps ==
        Steps{"work.written", "sync", "work.synced", "record 1 2 1", "work.recorded"});
  CHECK(log.recorded());
}

TEST_CASE_METHOD(LogFixture, "nothing is committed twice, and nothing at all without need") {
  WorkLog log = Make(milliseconds(0));
  REQUIRE(log.Commit().ok());
  CHECK(store.steps.empty());
  log.Add(PieceRecord{});
  REQUIRE(log.Commit().ok());
  const Steps once = store.steps;
  REQUIRE(log.Commit().ok());
  REQUIRE(log.CommitAll().ok());
  CHECK(store.steps == once);
}

TEST_CASE_METHOD(LogFixture, "small pieces wait for each other, but not for the end") {
  WorkLog log = Make(std::chrono::hours(1));
  log.Add(PieceRecord{});
  REQUIRE(log.Commit().ok());  // the first has waited for ever
  const size_t first = store.steps.size();
  log.Add(PieceRecord{});
  log.Add(PieceRecord{});
  REQUIRE(log.Commit().ok());
  CHECK(store.steps.size() == first);
  REQUIRE(log.CommitAll().ok());
  CHECK(store.pieces == 3);
}

TEST_CASE_METHOD(LogFixture,
                 "a piece that took the interval waits for nothing, and takes others along") {
  WorkLog log = Make(milliseconds(3'600'000));
  log.Add(PieceRecord{});
  REQUIRE(log.Commit().ok());  // the first has waited for ever
  log.Add(PieceRecord{.seconds = 3599.9});
  REQUIRE(log.Commit().ok());
  CHECK(store.pieces == 1);
  log.Add(PieceRecord{.seconds = 3600});
  REQUIRE(log.Commit().ok());
  CHECK(store.pieces == 3);
  log.Add(PieceRecord{});  // the next one is small again
  REQUIRE(log.Commit().ok());
  CHECK(store.pieces == 3);
  const PieceRecord halves[] = {{.seconds = 1800}, {.seconds = 1800}};
  for (const PieceRecord& half : halves) log.Add(half);
  REQUIRE(log.Commit().ok());
  CHECK(store.pieces == 3);
  log.Add(halves);  // done together they took the interval
  REQUIRE(log.Commit().ok());
  CHECK(store.pieces == 8);
}

TEST_CASE_METHOD(LogFixture, "bytes that may not be on disk are never recorded") {
  sync_error = absl::InternalError("the disk is gone");
  WorkLog log = Make(milliseconds(0));
  log.Add(PieceRecord{});
  CHECK_THAT(log.Commit(), IsStatus(Code::kInternal, {"the disk is gone"}));
  CHECK(store.steps == Steps{"work.written", "sync"});
  sync_error = absl::OkStatus();
  log.Add(PieceRecord{});
  CHECK_THAT(log.Commit(), IsStatus(Code::kInternal, {"the disk is gone"}));
  CHECK_THAT(log.CommitAll(), IsStatus(Code::kInternal, {"the disk is gone"}));
  CHECK(store.pieces == 0);
  CHECK_FALSE(log.recorded());
}

TEST_CASE_METHOD(LogFixture, "a store that does not take the rows ends the log") {
  store.error = absl::ResourceExhaustedError("full");
  WorkLog log = Make(milliseconds(0));
  log.Add(PieceRecord{});
  CHECK_THAT(log.Commit(), IsStatus(Code::kResourceExhausted, {"full"}));
  store.error = absl::OkStatus();
  CHECK_THAT(log.CommitAll(), IsStatus(Code::kResourceExhausted, {"full"}));
  CHECK_FALSE(log.recorded());
}

TEST_CASE_METHOD(LogFixture,
                 "a store that is busy is asked again, but neither for ever nor after a stop") {
  store.busy = 2;
  WorkLog log = Make(milliseconds(0));
  log.Add(PieceRecord{});
  REQUIRE(log.Commit().ok());
  CHECK(store.pieces == 1);
  CHECK(store.steps.size() == 7);  // synced once, recorded with the third try
  store.busy = 1 << 30;
  SECTION("patience comes to its end") { patience = milliseconds(0); }
  SECTION("the job is to stop") { stop.request_stop(); }
  WorkLog impatient = Make(milliseconds(0));
  impatient.Add(PieceRecord{});
  CHECK_THAT(impatient.Commit(), IsStatus(Code::kUnavailable, {"locked"}));
  CHECK(store.pieces == 1);
}

TEST_CASE_METHOD(LogFixture, "what an earlier attempt recorded counts, levels alone do not") {
  WorkLog log = Make(milliseconds(0));
  log.Add(LevelsRecord{});
  REQUIRE(log.Commit().ok());
  CHECK_FALSE(log.recorded());
  log.SetRecorded(true);
  CHECK(log.recorded());
  log.SetRecorded(false);
  CHECK_FALSE(log.recorded());
}

TEST_CASE_METHOD(LogFixture, "threads share commits, and every piece is recorded once") {
  constexpr int kThreads = 8, kPieces = 100;
  WorkLog log = Make(milliseconds(0));
  std::latch together(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      together.arrive_and_wait();
      for (int i = 0; i < kPieces; ++i) {
        log.Add(PieceRecord{t, i});
        (void)log.Commit();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(log.CommitAll().ok());
  CHECK(store.pieces == kThreads * kPieces);
  // Each commit is whole before the next one begins.
  REQUIRE(store.steps.size() % 5 == 0);
  for (size_t i = 0; i < store.steps.size(); i += 5) {
    CHECK(store.steps[i] == "work.written");
    CHECK(store.steps[i + 4] == "work.recorded");
  }
}

}  // namespace
}  // namespace seedlm::server
