#include "server/jobs/sqlite_job_store.h"

#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/errors/reason.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

// A store whose clock is a counter: the times of a test are known.
class StoreFixture {
 public:
  StoreFixture() { Reopen(); }

  void Reopen() {
    store_.reset();
    auto opened = SqliteJobStore::Open(path(), [this] { return ++now_; });
    REQUIRE(opened.ok());
    store_ = *std::move(opened);
  }
  std::string path() const { return directory_ / "jobs.sqlite"; }

  JobRecord Add(const std::string& name, std::map<std::string, std::string> labels = {},
                const RequestKey& key = {}) {
    JobRecord job;
    job.name = name;
    job.request.labels = std::move(labels);
    absl::StatusOr<InsertResult> inserted = store_->Insert(job, key);
    REQUIRE(inserted.ok());
    return inserted->job;
  }
  void Move(const std::string& name, JobState to) {
    REQUIRE(store_->Update(name, {to, {}, {}, {}}).ok());
  }
  std::vector<std::string> Names(const JobPage& page) {
    std::vector<std::string> names;
    for (const JobRecord& job : page.jobs) names.push_back(job.name);
    return names;
  }

 protected:
  TemporaryDirectory directory_;
  int64_t now_ = 1000;
  std::unique_ptr<SqliteJobStore> store_;
};

TEST_CASE_METHOD(StoreFixture, "a store that another program has locked is no defect: not now") {
  const JobRecord job = Add("jobs/a");
  store_ = SqliteJobStore::Open(
               path(), [] { return int64_t{1}; }, std::chrono::milliseconds(20))
               .value();
  {
    Database other = Database::Open(path()).value();
    const Transaction lock = Transaction::Begin(other).value();
    for (const absl::Status& status :
         {store_->Insert({}, {}).status(), store_->RecordWork(job.name, {}),
          store_->Update(job.name, {JobState::kRunning, {}, {}, {}}).status()}) {
      CHECK_THAT(status, IsStatus(absl::StatusCode::kUnavailable, {path(), "another program"}));
      CHECK(ReasonOf(status) == "STORE_BUSY");
      CHECK(RetryAfterOf(status).has_value());
    }
    CHECK(store_->Get(job.name).ok());  // who only reads is not kept waiting
  }
  CHECK(store_->Update(job.name, {JobState::kRunning, {}, {}, {}}).ok());
}

TEST_CASE_METHOD(StoreFixture, "a job that was inserted is there, also after a restart") {
  const JobRecord job = Add("jobs/a", {{"k", "v"}});
  CHECK(job.state == JobState::kQueued);
  CHECK(job.attempt == 1);
  CHECK(job.create_time_ns == 1001);
  CHECK(job.last_sequence == 1);
  Reopen();
  const absl::StatusOr<JobRecord> read = store_->Get("jobs/a");
  REQUIRE(read.ok());
  CHECK(read->create_time_ns == 1001);
  CHECK(read->request.labels.at("k") == "v");
  CHECK(read->etag == job.etag);
}

TEST_CASE_METHOD(StoreFixture, "a job that is not there is named") {
  const auto not_found = IsStatus(absl::StatusCode::kNotFound, {"jobs/none"});
  CHECK_THAT(store_->Get("jobs/none").status(), not_found);
  CHECK_THAT(store_->Update("jobs/none", {JobState::kRunning, {}, {}, {}}).status(), not_found);
  CHECK_THAT(store_->AppendEvent("jobs/none", Warning{"w"}).status(), not_found);
  CHECK_THAT(store_->ReadEvents("jobs/none", {0, 10}).status(), not_found);
}

TEST_CASE_METHOD(StoreFixture, "the same request is the same job; another body is refused") {
  const RequestKey key{"r1", "hash"};
  CHECK_FALSE(store_->FindRequest(key)->has_value());
  Add("jobs/a", {}, key);
  JobRecord again;
  again.name = "jobs/b";
  const absl::StatusOr<InsertResult> second = store_->Insert(again, key);
  REQUIRE(second.ok());
  CHECK_FALSE(second->created);
  CHECK(second->job.name == "jobs/a");
  Reopen();
  CHECK(store_->FindRequest(key)->value().name == "jobs/a");

  const auto reused = IsStatus(absl::StatusCode::kAlreadyExists, {"'r1'", "jobs/a"});
  const absl::Status status = store_->Insert(again, {"r1", "other"}).status();
  CHECK_THAT(status, reused);
  CHECK(ReasonOf(status) == "REQUEST_ID_REUSED");
  CHECK_THAT(store_->FindRequest({"r1", "other"}).status(), reused);
  CHECK_FALSE(store_->Get("jobs/b").ok());
  // Without a request id every insertion is a job of its own.
  Add("jobs/c");
  Add("jobs/d");
}

TEST_CASE_METHOD(StoreFixture, "a change of state is one with its event") {
  Add("jobs/a");
  absl::StatusOr<JobRecord> job = store_->Update("jobs/a", {JobState::kRunning, {}, {}, {}});
  REQUIRE(job.ok());
  CHECK(job->start_time_ns == now_);
  const std::string etag = job->etag;
  REQUIRE(
      store_->AppendEvent("jobs/a", TensorResult{"t", 1, 2, 0.5, 1, 4, 0, "cpu", "x"}).value() ==
      3);
  REQUIRE(store_->AppendEvent("jobs/a", Warning{"w"}).value() == 4);
  CHECK(store_->Get("jobs/a")->etag == etag);  // the state is as it was
  Progress progress;
  progress.weights_done = 9;
  job = store_->Update("jobs/a", {JobState::kSucceeded, progress, {}, {{"f", 1, "s"}}});
  REQUIRE(job.ok());
  CHECK(job->end_time_ns == now_);
  CHECK(job->progress.weights_done == 9);
  CHECK(job->output_files.at(0).path == "f");
  CHECK(job->etag != etag);

  const std::vector<JobEvent> events = store_->ReadEvents("jobs/a", {0, 100}).value().events;
  REQUIRE(events.size() == 5);
  for (size_t i = 0; i < 5; ++i) CHECK(events[i].sequence == static_cast<int64_t>(i) + 1);
  CHECK(std::get<StateChange>(events[1].body).state == JobState::kRunning);
  CHECK(std::get<TensorResult>(events[2].body).name == "t");
  CHECK(std::get<Warning>(events[3].body).message == "w");
  CHECK(std::get<StateChange>(events[4].body).state == JobState::kSucceeded);
  CHECK(events[4].time_ns == job->end_time_ns);
}

TEST_CASE_METHOD(StoreFixture, "of a job that SUCCEEDED it is known what it was made of, no more") {
  Add("jobs/a");
  Move("jobs/a", JobState::kRunning);
  REQUIRE(store_->BeginWork("jobs/a", {"source", "layout"}).ok());
  WorkBatch batch;
  batch.levels.push_back({});
  batch.pieces.push_back({0, 0, 7});
  batch.finished.push_back({});
  REQUIRE(store_->RecordWork("jobs/a", batch).ok());
  REQUIRE(store_->RecordPublication("jobs/a", {"intent", {}}).ok());
  Move("jobs/a", JobState::kSucceeded);
  const JobWork work = store_->ReadWork("jobs/a").value();
  CHECK(work.identity == WorkIdentity{"source", "layout"});
  CHECK(work.levels.empty());
  CHECK(work.pieces.empty());
  CHECK(work.finished.empty());
  CHECK_FALSE(work.publication.has_value());
  REQUIRE(store_->BeginDelete("jobs/a", "").ok());
}

TEST_CASE_METHOD(StoreFixture, "a change that cannot be leaves job and events as they were") {
  Add("jobs/a");
  Move("jobs/a", JobState::kCancelled);
  CHECK_THAT(store_->Update("jobs/a", {JobState::kRunning, {}, {}, {}}).status(),
             IsStatus(absl::StatusCode::kFailedPrecondition, {"jobs/a", "CANCELLED", "RUNNING"}));
  CHECK(store_->Get("jobs/a")->state == JobState::kCancelled);
  CHECK(store_->ReadEvents("jobs/a", {0, 10})->events.size() == 2);
}

TEST_CASE_METHOD(StoreFixture,
                 "a change with an etag is made of the job that has it, and of no other") {
  Add("jobs/a");
  const std::string queued = store_->Get("jobs/a")->etag;
  Move("jobs/a", JobState::kRunning);
  absl::StatusOr<JobRecord> job =
      store_->Update("jobs/a", {JobState::kCancelled, {}, {}, {}, queued});
  CHECK_THAT(job.status(), IsStatus(absl::StatusCode::kAborted, {"jobs/a", "RUNNING", "etag"}));
  CHECK(ReasonOf(job.status()) == "ETAG_MISMATCH");
  CHECK(store_->Get("jobs/a")->state == JobState::kRunning);
  CHECK(store_->ReadEvents("jobs/a", {0, 10})->events.size() == 2);
  const std::string running = store_->Get("jobs/a")->etag;
  job = store_->Update("jobs/a", {JobState::kCancelled, {}, {}, {}, running});
  REQUIRE(job.ok());
  CHECK(ReasonOf(store_->BeginDelete("jobs/a", running).status()) == "ETAG_MISMATCH");
  CHECK(store_->Deletions()->empty());
  CHECK(store_->BeginDelete("jobs/a", job->etag).ok());
}

TEST_CASE_METHOD(StoreFixture, "events are read from a sequence on, in portions") {
  Add("jobs/a");
  for (int i = 0; i < 4; ++i) REQUIRE(store_->AppendEvent("jobs/a", Warning{"w"}).ok());
  const auto portion = store_->ReadEvents("jobs/a", {2, 2});
  REQUIRE(portion.ok());
  REQUIRE(portion->events.size() == 2);
  CHECK(portion->events[0].sequence == 3);
  CHECK(portion->more);
  CHECK_FALSE(store_->ReadEvents("jobs/a", {3, 2})->more);
  CHECK(store_->ReadEvents("jobs/a", {4, 10})->events.size() == 1);
  CHECK(store_->ReadEvents("jobs/a", {5, 10})->events.empty());
  const auto out_of_range = IsStatus(absl::StatusCode::kOutOfRange, {"jobs/a", "5"});
  CHECK_THAT(store_->ReadEvents("jobs/a", {6, 10}).status(), out_of_range);
  CHECK_THAT(store_->ReadEvents("jobs/a", {-1, 10}).status(), out_of_range);
}

TEST_CASE_METHOD(StoreFixture, "a page of events ends once it is large, and holds one at least") {
  Add("jobs/a");
  for (int i = 0; i < 3; ++i) {
    REQUIRE(store_->AppendEvent("jobs/a", Warning{std::string(1000, 'w')}).ok());
  }
  const auto page = store_->ReadEvents("jobs/a", {0, 10, 1500});
  REQUIRE(page.ok());
  CHECK(page->events.size() == 3);  // QUEUED is small
  CHECK(page->more);
  const auto rest = store_->ReadEvents("jobs/a", {3, 10, 1});
  REQUIRE(rest.ok());
  CHECK(rest->events.size() == 1);
  CHECK_FALSE(rest->more);
}

// Changes a record behind the store's back.
void SpoilRecords(const std::string& path) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, "UPDATE jobs SET record = 'no JSON'", nullptr, nullptr, nullptr) ==
        SQLITE_OK);
  sqlite3_close(database);
}

TEST_CASE_METHOD(StoreFixture, "events neither read nor write the record of their job") {
  Add("jobs/a");
  SpoilRecords(path());
  CHECK_FALSE(store_->Get("jobs/a").ok());
  CHECK(store_->AppendEvent("jobs/a", Warning{"slow disk"}).value() == 2);
  CHECK(store_->AppendEvent("jobs/a", TensorResult{}).value() == 3);
  CHECK(store_->ReadEvents("jobs/a", {1, 10}).value().events.size() == 2);
  CHECK_FALSE(store_->ReadEvents("jobs/a", {4, 10}).ok());
  CHECK_THAT(store_->AppendEvent("jobs/none", Warning{}).status(),
             IsStatus(absl::StatusCode::kNotFound, {"jobs/none"}));
}

TEST_CASE_METHOD(StoreFixture, "an event counts in the record that is read after it") {
  Add("jobs/a");
  REQUIRE(store_->AppendEvent("jobs/a", Warning{"slow disk"}).ok());
  CHECK(store_->Get("jobs/a")->last_sequence == 2);
  Move("jobs/a", JobState::kRunning);
  CHECK(store_->Get("jobs/a")->last_sequence == 3);
}

TEST_CASE_METHOD(StoreFixture, "a negative page size is refused by field") {
  JobQuery query;
  query.page_size = -1;
  CHECK_THAT(store_->List(query).status(), IsInvalidField("page_size"));
}

TEST_CASE_METHOD(StoreFixture, "what runs again counts its attempts") {
  Add("jobs/a");
  Move("jobs/a", JobState::kRunning);
  const absl::StatusOr<JobRecord> job = store_->Update("jobs/a", {JobState::kQueued, {}, {}, {}});
  CHECK(job->attempt == 2);
  CHECK(job->state == JobState::kQueued);
}

TEST_CASE_METHOD(StoreFixture, "unfinished jobs, oldest first") {
  for (const char* name : {"jobs/a", "jobs/b", "jobs/c", "jobs/d"}) Add(name);
  Move("jobs/a", JobState::kRunning);
  Move("jobs/b", JobState::kCancelled);
  Move("jobs/c", JobState::kRunning);
  Move("jobs/c", JobState::kFailed);
  const auto jobs = store_->Unfinished();
  REQUIRE(jobs.ok());
  REQUIRE(jobs->size() == 2);
  CHECK(jobs->at(0).name == "jobs/a");
  CHECK(jobs->at(0).state == JobState::kRunning);
  CHECK(jobs->at(1).name == "jobs/d");
}

TEST_CASE_METHOD(StoreFixture, "pages: newest first, without gap or repetition") {
  for (int i = 0; i < 5; ++i) Add("jobs/" + std::to_string(i));
  JobQuery query;
  query.page_size = 2;
  absl::StatusOr<JobPage> page = store_->List(query);
  REQUIRE(page.ok());
  CHECK(Names(*page) == std::vector<std::string>{"jobs/4", "jobs/3"});
  Add("jobs/5");  // does not move the pages that follow
  query.page_token = page->next_page_token;
  page = store_->List(query);
  CHECK(Names(*page) == std::vector<std::string>{"jobs/2", "jobs/1"});
  query.page_token = page->next_page_token;
  page = store_->List(query);
  CHECK(Names(*page) == std::vector<std::string>{"jobs/0"});
  CHECK(page->next_page_token.empty());

  query = {};
  query.page_size = 6;  // just all
  CHECK(store_->List(query)->next_page_token.empty());
  query.page_size = -1;
  CHECK_THAT(store_->List(query).status(),
             IsStatus(absl::StatusCode::kInvalidArgument, {"page_size", "-1"}));
}

TEST_CASE_METHOD(StoreFixture, "pages end before their bytes are too many") {
  JobRecord large;
  large.request.spec.include = {std::string(10'000, 'x')};
  for (const char* name : {"jobs/a", "jobs/b", "jobs/c", "jobs/d"}) {
    large.name = name;
    REQUIRE(store_->Insert(large, {}).ok());
  }
  // Left out of pages, so not counted.
  JobUpdate update{JobState::kRunning, {}, {}, {}};
  REQUIRE(store_->Update("jobs/d", update).ok());
  update = {JobState::kSucceeded, {}, {}, {{std::string(100'000, 'f'), 1, "sum"}}};
  REQUIRE(store_->Update("jobs/d", update).ok());
  const auto pages = [this](size_t max_bytes) {
    JobQuery query;
    query.max_bytes = max_bytes;
    std::vector<size_t> sizes;
    do {
      const JobPage page = store_->List(query).value();
      sizes.push_back(page.jobs.size());
      for (const JobRecord& job : page.jobs) {
        CHECK(job.request.spec.include == std::vector<std::string>{std::string(10'000, 'x')});
        CHECK(job.output_files.empty());
      }
      query.page_token = page.next_page_token;
    } while (!query.page_token.empty());
    return sizes;
  };
  using Sizes = std::vector<size_t>;
  CHECK(pages(25'000) == Sizes{2, 2});
  CHECK(pages(35'000) == Sizes{3, 1});
  CHECK(pages(1) == Sizes{1, 1, 1, 1});  // or nobody would ever see them
  CHECK(pages(0) == Sizes{4});
}

TEST_CASE_METHOD(StoreFixture, "pages are filtered by state and by all labels") {
  Add("jobs/a", {{"team", "x"}, {"run", "1"}});
  Add("jobs/b", {{"team", "x"}, {"run", "2"}});
  Add("jobs/c", {{"team", "y"}, {"run", "1"}});
  Move("jobs/b", JobState::kRunning);
  JobQuery query;
  query.labels = {{"team", "x"}};
  CHECK(Names(*store_->List(query)) == std::vector<std::string>{"jobs/b", "jobs/a"});
  query.labels["run"] = "1";
  CHECK(Names(*store_->List(query)) == std::vector<std::string>{"jobs/a"});
  query.labels["run"] = "1' OR '1'='1";
  CHECK(store_->List(query)->jobs.empty());
  query = {};
  query.state = JobState::kQueued;
  CHECK(Names(*store_->List(query)) == std::vector<std::string>{"jobs/c", "jobs/a"});
}

TEST_CASE_METHOD(StoreFixture, "threads share a store") {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      const std::string name = "jobs/t" + std::to_string(t);
      JobRecord job;
      job.name = name;
      if (!store_->Insert(job, {}).ok()) return;
      for (int i = 0; i < 10; ++i) (void)store_->AppendEvent(name, Warning{"w"});
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t) {
    CHECK(store_->ReadEvents("jobs/t" + std::to_string(t), {0, 100})->events.size() == 11);
  }
}

// ---- Files that are not a sound store of this version.

absl::Status OpenStatus(const std::string& path) {
  return SqliteJobStore::Open(path, [] { return int64_t{0}; }).status();
}

void Execute(const std::string& path, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(database);
}

TEST_CASE_METHOD(StoreFixture, "a store of a newer version is refused and left alone") {
  Add("jobs/a");
  store_.reset();
  Execute(path(), "PRAGMA user_version = 99");
  const std::string before = ReadText(path());
  CHECK_THAT(OpenStatus(path()),
             IsStatus(absl::StatusCode::kFailedPrecondition, {path(), "version 99"}));
  CHECK(ReadText(path()) == before);
}

TEST_CASE_METHOD(StoreFixture, "a damaged store is refused and left alone") {
  for (int i = 0; i < 200; ++i) Add("jobs/" + std::to_string(i));
  store_.reset();
  const std::string sound = ReadText(path());
  std::string damaged = sound;
  SECTION("in its header") { damaged.replace(0, 16, "this is no store"); }
  SECTION("in its pages") { damaged.replace(4096, damaged.size() / 2, damaged.size() / 2, '\x55'); }
  SECTION("cut") { damaged.resize(damaged.size() / 2); }
  WriteText(path(), damaged);
  const absl::Status refused = OpenStatus(path());
  CHECK_THAT(refused, IsStatus(absl::StatusCode::kFailedPrecondition, {path(), "damaged"}));
  CHECK(ReasonOf(refused) == "STORE_DAMAGED");
  CHECK(ReadText(path()) == damaged);
}

TEST_CASE_METHOD(StoreFixture, "a record that is no record any more is refused by store and row") {
  Add("jobs/a");
  Add("jobs/b");
  store_.reset();
  Execute(path(), "UPDATE jobs SET record = substr(record, 1, 20) WHERE name = 'jobs/b'");
  const std::string before = ReadText(path());
  Reopen();  // its pages are sound
  for (const absl::Status& status :
       {store_->Unfinished().status(), store_->List({}).status(), store_->Get("jobs/b").status(),
        store_->BeginDelete("jobs/b", "").status()}) {
    CHECK_THAT(status, IsStatus(absl::StatusCode::kFailedPrecondition,
                                {path(), "job 2", "damaged", "restore it"}));
    CHECK(ReasonOf(status) == "STORE_DAMAGED");
  }
  CHECK(store_->Get("jobs/a").ok());
  store_.reset();
  CHECK(ReadText(path()) == before);
}

TEST_CASE_METHOD(StoreFixture, "an event that cannot be read is of a damaged store, too") {
  Add("jobs/a");
  Execute(path(), "UPDATE events SET body = '{'");
  const absl::Status status = store_->ReadEvents("jobs/a", {0, 10}).status();
  CHECK_THAT(status, IsStatus(absl::StatusCode::kFailedPrecondition, {path(), "job 1"}));
  CHECK(ReasonOf(status) == "STORE_DAMAGED");
}

TEST_CASE("another program's database is refused and left alone") {
  const TemporaryDirectory directory;
  const std::string path = directory / "notes.sqlite";
  Execute(path, "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('precious')");
  const std::string before = ReadText(path);
  CHECK_THAT(OpenStatus(path),
             IsStatus(absl::StatusCode::kFailedPrecondition, {path, "not a job database"}));
  CHECK(ReadText(path) == before);
}

TEST_CASE("a store cannot be made where there is no directory") {
  CHECK_THAT(OpenStatus("/nonexistent-directory/jobs.sqlite"),
             IsStatus(absl::StatusCode::kNotFound, {"/nonexistent-directory/jobs.sqlite"}));
}

}  // namespace
}  // namespace seedlm::server
