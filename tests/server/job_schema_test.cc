// Stores of an earlier schema.
#include "server/jobs/job_schema.h"

#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "server/errors/reason.h"
#include "server/jobs/sqlite_job_store.h"
#include "tests/server/schema_1.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

class Schema1 {
 public:
  Schema1() {
    Execute(kSchema1);
    Execute(kRows1);
  }
  void Execute(const std::string& sql) {
    sqlite3* database = nullptr;
    REQUIRE(sqlite3_open(path().c_str(), &database) == SQLITE_OK);
    CHECK(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(database);
  }
  absl::StatusOr<std::unique_ptr<SqliteJobStore>> Open() const {
    return SqliteJobStore::Open(path(), [] { return int64_t{5000}; });
  }
  std::string path() const { return directory_ / "jobs.sqlite"; }

 private:
  TemporaryDirectory directory_;
};

TEST_CASE_METHOD(Schema1, "jobs of the first schema are there, whole") {
  for (int start = 0; start < 2; ++start) {  // the second finds it migrated
    CAPTURE(start);
    auto store = Open();
    REQUIRE(store.ok());
    const JobRecord old = (*store)->Get("jobs/old").value();
    CHECK(old.state == JobState::kSucceeded);
    CHECK(old.attempt == 2);
    CHECK(old.end_time_ns == 900);
    CHECK(old.request.owner.empty());
    CHECK(old.request.priority == 3);
    CHECK(old.request.spec.include == std::vector<std::string>{"*"});
    CHECK(old.estimate.weights == 2048);
    REQUIRE(old.output_files.size() == 1);
    CHECK(old.output_files[0].sha256 == "abc");
    CHECK(old.last_sequence == 4);

    const auto events = (*store)->ReadEvents("jobs/old", {0, 10}).value().events;
    REQUIRE(events.size() == 4);
    const auto& tensor = std::get<TensorResult>(events[2].body);
    CHECK(tensor.relative_error == 0.2);
    CHECK(tensor.level_blocks.empty());

    JobQuery query;
    query.labels = {{"team", "x"}};
    query.owner = "";
    REQUIRE((*store)->List(query)->jobs.size() == 1);
    CHECK((*store)->EndedBefore(900, 10).value() == std::vector<std::string>{"jobs/old"});
    CHECK((*store)->EndedBefore(899, 10)->empty());
  }
}

TEST_CASE_METHOD(Schema1, "request ids of the first schema are remembered") {
  auto store = Open();
  REQUIRE(store.ok());
  CHECK((*store)->FindRequest({"r1", "hash1"}).value()->name == "jobs/old");
  CHECK_THAT((*store)->FindRequest({"r1", "other"}).status(),
             IsStatus(Code::kAlreadyExists, {"r1", "jobs/old"}));
  CHECK_FALSE((*store)->FindRequest({"r1", "hash1", "alice"})->has_value());
}

TEST_CASE_METHOD(Schema1, "what was running goes on, and new jobs have new ids") {
  auto store = Open();
  REQUIRE(store.ok());
  const std::vector<JobRecord> unfinished = (*store)->Unfinished().value();
  REQUIRE(unfinished.size() == 1);
  CHECK(unfinished[0].name == "jobs/busy");
  CHECK(unfinished[0].request.spec.scale == codec::ScaleRule::kPow2);
  CHECK_FALSE((*store)->ReadWork("jobs/busy")->identity.has_value());
  REQUIRE((*store)->Update("jobs/busy", {JobState::kQueued, {}, {}, {}}).ok());
  REQUIRE((*store)->BeginWork("jobs/busy", {"source", "layout"}).ok());
  WorkBatch batch;
  batch.pieces.push_back({0, 0, 7});
  REQUIRE((*store)->RecordWork("jobs/busy", batch).ok());
  CHECK((*store)->ReadWork("jobs/busy")->pieces.size() == 1);

  JobRecord job;
  job.name = "jobs/new";
  REQUIRE((*store)->Insert(job, {}).ok());
  CHECK((*store)->List({})->jobs[0].name == "jobs/new");  // newest first
  CHECK((*store)->BeginDelete("jobs/old", "").ok());
}

TEST_CASE_METHOD(Schema1, "pieces of the second schema are there, of a backend that is not known") {
  {
    auto store = Open();
    REQUIRE(store.ok());
    REQUIRE((*store)->BeginWork("jobs/busy", {"source", "layout"}).ok());
    WorkBatch batch;
    batch.pieces = {{0, 0, 7, 0.5, 4.0, 0.25, 1.5, "cuda"}, {0, 1, 8}};
    REQUIRE((*store)->RecordWork("jobs/busy", batch).ok());
    const JobWork work = (*store)->ReadWork("jobs/busy").value();
    CHECK(work.pieces.at({0, 0}).backend == "cuda");
    CHECK(work.pieces.at({0, 1}).backend.empty());
  }
  Execute("ALTER TABLE work_pieces DROP COLUMN backend; PRAGMA user_version = 2");
  const auto store = Open();
  REQUIRE(store.ok());
  const JobWork work = (*store)->ReadWork("jobs/busy").value();
  REQUIRE(work.pieces.size() == 2);
  CHECK(work.pieces.at({0, 0}).backend.empty());
  CHECK(work.pieces.at({0, 0}).crc32c == 7);
  CHECK(work.pieces.at({0, 0}).seconds == 1.5);
}

TEST_CASE_METHOD(Schema1, "a migration that cannot end changes no table") {
  Execute("CREATE TABLE work_pieces (mine TEXT); INSERT INTO work_pieces VALUES ('kept')");
  CHECK_THAT(Open().status(), IsStatus(Code::kInternal, {path(), "work_pieces"}));
  Execute(
      "INSERT INTO jobs (name, request_id, state, last_sequence, record) "
      "VALUES ('still', 'of schema 1', 1, 0, '{}')");
  Execute("DELETE FROM jobs WHERE name = 'still'; DROP TABLE work_pieces");
  const auto store = Open();
  REQUIRE(store.ok());
  CHECK((*store)->Get("jobs/old").ok());
}

}  // namespace
}  // namespace seedlm::server
