#include "server/scheduler/retention.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kernels/checksum/crc32c.h"
#include "server/jobs/sqlite_job_store.h"
#include "server/scheduler/artifact_service.h"
#include "server/storage/artifact_stores.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = absl::StatusCode;
using Names = std::set<std::string>;

constexpr int64_t kSecond = 1'000'000'000;

struct RetentionFixture {
  Upload Begin(const std::string& id, const std::string& owner = "") {
    Upload upload = stores.Of(owner).OpenUpload({id, "model.safetensors"}).value();
    REQUIRE(upload.Append(0, "bytes", checksum::Crc32c("bytes")).ok());
    return upload;
  }
  void Finish(const std::string& id, const std::string& owner = "") {
    checksum::Sha256 sum;
    sum.Update(std::as_bytes(std::span("bytes", 5)));
    REQUIRE(Begin(id, owner).Finish(sum.HexDigest()).ok());
  }
  // Everything of the artifact was written `seconds` after the epoch.
  void Date(const std::string& id, int64_t seconds, const std::string& owner = "") {
    const ArtifactFolders folders = data_dir.FoldersOf(owner);
    const auto time = std::chrono::file_clock::from_sys(
        std::chrono::sys_time<std::chrono::seconds>(std::chrono::seconds(seconds)));
    for (const std::string& parent : {folders.artifacts(), folders.uploads()}) {
      if (!fs::exists(parent + "/" + id)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(parent + "/" + id)) {
        fs::last_write_time(entry.path(), time);
      }
      fs::last_write_time(parent + "/" + id, time);
    }
  }
  Names Ids(const std::string& owner = "") {
    const auto ids = stores.Of(owner).ListIds("", 100).value();
    return {ids.begin(), ids.end()};
  }

  TemporaryDirectory directory;
  DataDir data_dir = DataDir::Open(directory / "data").value();
  ArtifactStores stores{data_dir};
  std::unique_ptr<SqliteJobStore> jobs =
      SqliteJobStore::Open(data_dir.database(), [] { return int64_t{1}; }).value();
  ArtifactService service{{&stores, jobs.get(), nullptr}};
};

TEST_CASE_METHOD(RetentionFixture, "uploads go some time after their last byte") {
  Finish("finished");
  (void)Begin("arriving");
  Finish("mixed");
  (void)stores.Of("").OpenUpload({"mixed", "later"}).value();
  for (const char* id : {"finished", "arriving", "mixed"}) Date(id, 100);
  REQUIRE(service.DeleteUploadsBefore(100 * kSecond - 1).ok());
  CHECK(Ids() == Names{"arriving", "finished", "mixed"});
  fs::last_write_time(data_dir.FoldersOf("").uploads() + "/mixed/later",
                      fs::file_time_type::clock::now());
  REQUIRE(service.DeleteUploadsBefore(100 * kSecond).ok());
  CHECK(Ids() == Names{"mixed"});  // of which something came since
  CHECK(ListTree(data_dir.FoldersOf("").uploads()) == Names{"mixed", "mixed/later"});
}

TEST_CASE_METHOD(RetentionFixture, "what is being used stays for now") {
  Finish("read");
  JobRecord job;
  job.name = "jobs/reader";
  job.request.source.artifact = "artifacts/read";
  REQUIRE(jobs->Insert(job, {}).ok());
  {
    const Upload open = Begin("written");
    for (const char* id : {"read", "written"}) Date(id, 100);
    REQUIRE(service.DeleteUploadsBefore(200 * kSecond).ok());
    CHECK(Ids() == Names{"read", "written"});
  }
  REQUIRE(jobs->Update(job.name, {JobState::kCancelled, {}, {}, {}}).ok());
  REQUIRE(service.DeleteUploadsBefore(200 * kSecond).ok());
  CHECK(Ids().empty());  // nothing was done of the job
}

TEST_CASE_METHOD(RetentionFixture,
                 "the source of work that can be gone on with stays as long as its job") {
  const JobState state = GENERATE(JobState::kFailed, JobState::kCancelled, JobState::kSucceeded);
  Finish("read");
  Finish("read", "alice");
  for (const char* owner : {"", "alice"}) Date("read", 100, owner);
  JobRecord job;
  job.name = "jobs/reader";
  job.request.source.artifact = "artifacts/read";
  REQUIRE(jobs->Insert(job, {}).ok());
  REQUIRE(jobs->BeginWork(job.name, {"source", "layout"}).ok());
  REQUIRE(jobs->RecordWork(job.name, {{}, {PieceRecord{}}, {}}).ok());
  REQUIRE(jobs->Update(job.name, {JobState::kRunning, {}, {}, {}}).ok());
  REQUIRE(jobs->Update(job.name, {state, {}, {}, {}}).ok());
  REQUIRE(service.DeleteUploadsBefore(200 * kSecond).ok());
  CHECK(Ids("alice").empty());  // another's of the same name
  if (state == JobState::kSucceeded) {
    CHECK(Ids().empty());
    return;
  }
  CHECK(Ids() == Names{"read"});
  const absl::Status by_hand = service.Delete("", "artifacts/read");
  CHECK_THAT(by_hand, IsStatus(absl::StatusCode::kFailedPrecondition, {"jobs/reader", "resume"}));
  CHECK(ReasonOf(by_hand) == "ARTIFACT_IN_USE");
  REQUIRE(jobs->BeginDelete(job.name, "").ok());
  REQUIRE(service.Delete("", "artifacts/read").ok());
  CHECK(Ids().empty());
}

TEST_CASE_METHOD(RetentionFixture,
                 "results are left to their jobs, other owners are not forgotten") {
  WriteText(stores.Of("").ResultPath("result") + "/.seedlm-result", "");
  WriteText(stores.Of("").ResultPath("result") + "/model.safetensors", "x");
  Finish("a", "alice");
  Date("result", 100);
  Date("a", 100, "alice");
  REQUIRE(service.DeleteUploadsBefore(200 * kSecond).ok());
  CHECK(Ids() == Names{"result"});
  CHECK(Ids("alice").empty());
}

TEST_CASE("each rule is followed with its own time, whatever the others answer") {
  std::mutex mutex;
  std::condition_variable called;
  std::vector<int64_t> times;
  const auto rule = [&](int64_t time_ns) {
    const std::lock_guard lock(mutex);
    times.push_back(time_ns);
    called.notify_all();
    return absl::InternalError("not now");
  };
  const Retention retention(
      {[] { return int64_t{1000}; },
       nullptr,
       {{std::chrono::nanoseconds(10), rule}, {std::chrono::nanoseconds(300), rule}}});
  std::unique_lock lock(mutex);
  called.wait(lock, [&] { return times.size() >= 2; });
  CHECK(times[0] == 990);
  CHECK(times[1] == 700);
}

}  // namespace
}  // namespace seedlm::server
