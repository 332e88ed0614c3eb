#include "server/scheduler/job_service.h"

#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/errors/reason.h"
#include "server/scheduler/policy.h"
#include "tests/server/engine_fixture.h"
#include "tests/server/flaky_job_store.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = absl::StatusCode;

// The scheduler composed but not started: jobs stay QUEUED.
struct ServiceFixture : EngineFixture {
  ServiceFixture() {
    WriteSafetensors(directory / "in.safetensors",
                     {F32Tensor("a.weight", 64, 72, 1u), F32Tensor("norm.weight", 64, 64, 2u)});
    Compose({4, kDefaultShardWeights, false});
  }
  absl::Status Refusal(const JobRequest& request) {
    // validate_only and the real call refuse alike.
    const absl::Status dry = engine->service->Create(request, "", true).status();
    const absl::Status wet = engine->service->Create(request, "", false).status();
    CHECK(dry == wet);
    CHECK(engine->service->List({})->jobs.empty());
    CHECK(Outputs() == before);
    return wet;
  }
  std::set<std::string> before;  // what was in out/
};

TEST_CASE_METHOD(ServiceFixture, "a valid job is estimated, stored and queued") {
  const JobRequest request = Request("in.safetensors", "o.safetensors");
  const absl::StatusOr<JobRecord> dry = engine->service->Create(request, "", true);
  REQUIRE(dry.ok());
  CHECK(dry->name.empty());
  CHECK(engine->service->List({})->jobs.empty());

  const absl::StatusOr<JobRecord> job = engine->service->Create(request, "", false);
  REQUIRE(job.ok());
  CHECK_THAT(job->name, Catch::StartsWith("jobs/"));
  CHECK(job->state == JobState::kQueued);
  CHECK(job->output_artifact.empty());
  for (const Estimate& estimate : {dry->estimate, job->estimate}) {
    CHECK(estimate.weights == 64 * 72);
    CHECK(estimate.bits_per_weight == 4.0);
    CHECK(estimate.input_bytes ==
          static_cast<int64_t>(fs::file_size(directory / "in.safetensors")));
    CHECK(estimate.seconds == 0);  // nobody knows how fast a fake is
    REQUIRE(estimate.skipped.size() == 1);
    CHECK(estimate.skipped[0].name == "norm.weight");
    CHECK_THAT(estimate.skipped[0].reason, Catch::Contains("norm"));
  }
  CHECK(engine->service->Get(job->name)->progress.weights_total == 64 * 72);
  CHECK(engine->service->active_jobs() == 1);
}

TEST_CASE_METHOD(ServiceFixture, "an estimate knows the seconds of a known backend") {
  JobRequest request = Request("in.safetensors", "o");
  request.spec.backend = "cpu";
  CHECK(engine->service->Create(request, "", true)->estimate.seconds > 0);
}

TEST_CASE_METHOD(ServiceFixture,
                 "the same request_id is the same job, even when its output is there") {
  const JobRequest request = Request("in.safetensors", "o");
  const absl::StatusOr<JobRecord> first = engine->service->Create(request, "r1", false);
  REQUIRE(first.ok());
  WriteText(directory / "out/o", "made meanwhile");
  CHECK(engine->service->Create(request, "r1", false)->name == first->name);
  JobRequest other = request;
  other.priority = 1;
  const absl::Status status = engine->service->Create(other, "r1", false).status();
  CHECK_THAT(status, IsStatus(Code::kAlreadyExists, {"r1", first->name}));
  CHECK(engine->service->List({})->jobs.size() == 1);
}

TEST_CASE_METHOD(ServiceFixture,
                 "a full queue takes no job, but gives the answer of before again") {
  SchedulerOptions options;
  options.max_active_jobs = 1;
  Compose(options);
  const JobRequest request = Request("in.safetensors", "o");
  const absl::StatusOr<JobRecord> first = engine->service->Create(request, "r1", false);
  REQUIRE(first.ok());
  const absl::Status full =
      engine->service->Create(Request("in.safetensors", "o2"), "r2", false).status();
  CHECK_THAT(full, IsStatus(Code::kResourceExhausted, {"1 jobs"}));
  CHECK(ReasonOf(full) == "QUEUE_FULL");
  const absl::StatusOr<JobRecord> again = engine->service->Create(request, "r1", false);
  REQUIRE(again.ok());
  CHECK(again->name == first->name);
  // What was refused or has ended holds no place.
  CHECK(engine->service->Cancel(first->name).ok());
  CHECK_FALSE(engine->service->Create(Request("none", "o2"), "", false).ok());
  CHECK(engine->service->Create(Request("in.safetensors", "o2"), "r2", false).ok());
}

TEST_CASE_METHOD(ServiceFixture, "many at once do not overrun the queue") {
  SchedulerOptions options;
  options.max_active_jobs = 3;
  Compose(options);
  std::atomic<int> taken = 0;
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 12; ++i) {
      callers.emplace_back([&, i] {
        const JobRequest request = Request("in.safetensors", "o" + std::to_string(i));
        if (engine->service->Create(request, "", false).ok()) ++taken;
      });
    }
  }
  CHECK(taken == 3);
  CHECK(engine->service->active_jobs() == 3);
}

TEST_CASE_METHOD(ServiceFixture, "a job that nobody waits for any more is not made") {
  int asked = 0;
  const auto gone = [&] {
    ++asked;
    return false;
  };
  const JobRequest request = Request("in.safetensors", "o");
  CHECK(absl::IsCancelled(engine->service->Create(request, "r1", false, {gone, {}}).status()));
  CHECK(asked == 1);
  CHECK(engine->service->List({})->jobs.empty());
  CHECK(engine->service->active_jobs() == 0);
  CHECK(engine->service->Create(request, "r1", false).ok());
}

// What the files and directories below `path` take of the disk.
int64_t DiskUsage(const std::string& path) {
  struct stat info {};
  REQUIRE(stat(path.c_str(), &info) == 0);
  int64_t bytes = info.st_blocks * 512;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    REQUIRE(lstat(entry.path().c_str(), &info) == 0);
    bytes += info.st_blocks * 512;
  }
  return bytes;
}

TEST_CASE_METHOD(ServiceFixture, "the disk that a job takes is not more than was estimated") {
  fs::create_directories(directory / "model/sub/deep");
  fs::copy(directory / "in.safetensors", directory / "model/model.safetensors");
  WriteText(directory / "model/config.json", "{}");
  WriteText(directory / "model/sub/tokens.txt", std::string(300'000, 't'));
  WriteText(directory / "model/sub/deep/one", "1");
  REQUIRE(engine->scheduler->Start().ok());
  const JobRecord job = Run(Request("model", "o"));
  INFO(job.error.message);
  REQUIRE(job.state == JobState::kSucceeded);
  int64_t written = 0;
  for (const OutputFile& file : job.output_files) written += file.size;
  CHECK(job.estimate.scratch_bytes >= written - job.estimate.output_bytes);
  const int64_t used = DiskUsage(directory / "out/o");
  CHECK(job.estimate.output_bytes + job.estimate.scratch_bytes >= used);
  CHECK(job.estimate.scratch_bytes < 2 * used);  // an upper bound, and not any
  CHECK(job.estimate.copied_files == 3);
  CHECK(job.estimate.copied_bytes == written - job.estimate.output_bytes);
}

// Memory is measured by tests/e2e/memory_test.py.
TEST_CASE_METHOD(ServiceFixture, "an estimate of memory goes by the pieces that run at a time") {
  constexpr int64_t kPieceBytes = kShardsTogether * kDefaultShardWeights * int64_t{sizeof(float)};
  const auto estimate = [this](int threads, int64_t rows, const std::string& backend) {
    Compose({.threads = threads});
    const std::string name = std::to_string(rows) + ".safetensors";
    if (!fs::exists(directory / name)) {
      WriteSafetensors(directory / name, {F32Tensor("a.weight", rows, 4096, 1u)});
    }
    JobRequest request = Request(name, "o.safetensors");
    request.spec.backend = backend;
    const absl::StatusOr<JobRecord> job = engine->service->Create(request, "", true);
    REQUIRE(job.ok());
    return job->estimate;
  };
  const int64_t one = estimate(1, 4096, "cpu").memory_bytes;
  const int64_t two = estimate(2, 4096, "cpu").memory_bytes;
  CHECK(one > kPieceBytes);
  CHECK(two - one > 4 * kPieceBytes);  // the search takes several times as much as it searches
  CHECK(two - one < 12 * kPieceBytes);
  CHECK(estimate(8, 4096, "cpu").memory_bytes > two);
  // Eight shards: no more run at a time.
  CHECK(estimate(20, 2048, "cpu").memory_bytes == estimate(8, 2048, "cpu").memory_bytes);
  CHECK(estimate(1, 64, "cpu").memory_bytes < one);
  CHECK(estimate(1, 64, "cpu").index_bytes == backend::ReadIndexUsage().limit);
  CHECK(estimate(1, 64, "reference").index_bytes == 0);
}

TEST_CASE_METHOD(ServiceFixture, "fields of a request that are malformed are named for programs") {
  const JobRequest good = Request("in.safetensors", "new");
  const std::vector<std::pair<std::string, std::function<void(JobRequest&)>>> cases = {
      {"job.source", [](auto& r) { r.source = {}; }},
      {"job.source", [](auto& r) { r.source.artifact = "artifacts/both"; }},
      {"job.source.uri", [](auto& r) { r.source.uri = "http://host/x"; }},
      {"job.source.uri", [](auto& r) { r.source.uri = "file:///a/../b"; }},
      {"job.source.artifact",
       [](auto& r) {
         r.source = {"artifacts/a b", ""};
       }},
      {"job.destination", [](auto& r) { r.destination.managed = true; }},
      {"job.destination.uri", [](auto& r) { r.destination.uri = "file://host/x"; }},
      {"job.destination.uri", [&](auto& r) { r.destination.uri = r.source.uri; }},
  };
  for (const auto& [field, spoil] : cases) {
    JobRequest request = good;
    spoil(request);
    CHECK_THAT(Refusal(request), IsInvalidField(field));
  }
  CHECK_THAT(engine->service->Get("job/1").status(), IsInvalidField("name"));
  CHECK_THAT(engine->service->Cancel("").status(), IsInvalidField("name"));
  CHECK_THAT(engine->service->ReadEvents("x", {0, 1}).status(), IsInvalidField("name"));
}

TEST_CASE_METHOD(ServiceFixture, "a storage root is no output, whatever is asked for") {
  fs::create_directory(directory / "model");
  fs::copy(directory / "in.safetensors", directory / "model/model.safetensors");
  JobRequest request = Request("model", "");
  request.destination.uri = "file://" + directory.path();
  request.destination.overwrite = true;
  CHECK_THAT(Refusal(request), IsStatus(Code::kPermissionDenied, {"storage root"}));
  CHECK(fs::exists(directory / "model/model.safetensors"));
}

TEST_CASE_METHOD(ServiceFixture, "a directory with two models in it is not replaced") {
  fs::create_directory(directory / "model");
  fs::copy(directory / "in.safetensors", directory / "model/model.safetensors");
  WriteCompressed(directory / "out/all/a/model.safetensors");
  WriteCompressed(directory / "out/all/b/model.safetensors");
  before = Outputs();
  JobRequest request = Request("model", "all");
  request.destination.overwrite = true;
  CHECK_THAT(Refusal(request), IsStatus(Code::kFailedPrecondition, {"out/all", "not overwritten"}));
}

TEST_CASE_METHOD(ServiceFixture, "nothing behind a link out of the root is opened") {
  const TemporaryDirectory elsewhere;
  WriteText(elsewhere / "secret.safetensors", "no checkpoint: to parse it would be an error");
  fs::create_directory(directory / "model");
  fs::create_symlink(elsewhere / "secret.safetensors", directory / "model/a.safetensors");
  CHECK_THAT(Refusal(Request("model", "new")),
             IsStatus(Code::kPermissionDenied, {"model/a.safetensors", "outside"}));
  fs::remove(directory / "model/a.safetensors");
  fs::create_directory_symlink(elsewhere.path(), directory / "model/sub");
  CHECK_THAT(Refusal(Request("model", "new")),
             IsStatus(Code::kPermissionDenied, {"model/sub", "outside"}));
}

TEST_CASE_METHOD(ServiceFixture, "a managed job says where its output will be") {
  JobRequest request = Request("in.safetensors", "");
  request.destination = {true, "", false};
  const absl::StatusOr<JobRecord> job = engine->service->Create(request, "", false);
  REQUIRE(job.ok());
  CHECK(job->output_artifact == "artifacts/" + job->name.substr(5));
}

TEST_CASE_METHOD(ServiceFixture, "what cannot succeed is refused at once, by name") {
  WriteText(directory / "out/there", "x");
  fs::create_directory(directory / "out/dir");
  WriteText(directory / "bad.safetensors", "\x01\x02\x03");
  WriteText(directory / "empty/readme", "no weights here");
  before = Outputs();
  const JobRequest good = Request("in.safetensors", "new");
  struct Case {
    std::function<void(JobRequest&)> change;
    Code code;
    std::vector<std::string> words;
  };
  const std::vector<Case> cases = {
      {[&](auto& r) { r.source.uri = Uri("none.safetensors"); },
       Code::kNotFound,
       {"none.safetensors"}},
      {[&](auto& r) { r.source.uri = Uri("bad.safetensors"); },
       Code::kInvalidArgument,
       {"bad.safetensors"}},
      {[&](auto& r) { r.source.uri = Uri("empty"); }, Code::kInvalidArgument, {"empty"}},
      {[&](auto& r) { r.source.uri = "file:///etc"; },
       Code::kPermissionDenied,
       {"/etc", "outside"}},
      {[&](auto& r) {
         r.source = {"artifacts/none", ""};
       },
       Code::kNotFound,
       {"artifacts/none"}},
      {[&](auto& r) { r.source = {}; }, Code::kInvalidArgument, {"job.source"}},
      {[&](auto& r) { r.source.artifact = "artifacts/both"; },
       Code::kInvalidArgument,
       {"job.source"}},
      {[&](auto& r) { r.destination.uri = Uri("out/there"); }, Code::kAlreadyExists, {"out/there"}},
      {[&](auto& r) { r.destination.uri = Uri("out/dir"); },
       Code::kInvalidArgument,
       {"out/dir", "is a directory"}},
      {[&](auto& r) { r.destination.uri = Uri("none/new"); }, Code::kNotFound, {"/none"}},
      {[&](auto& r) { r.destination.uri = "file:///tmp/../new"; },
       Code::kInvalidArgument,
       {"'..'"}},
      {[&](auto& r) { r.destination.uri = "s3://bucket/key"; },
       Code::kFailedPrecondition,
       {"s3://", "AWS_ACCESS_KEY_ID"}},
      {[&](auto& r) { r.destination.uri.clear(); }, Code::kInvalidArgument, {"job.destination"}},
      {[&](auto& r) { r.destination.managed = true; }, Code::kInvalidArgument, {"job.destination"}},
      {[&](auto& r) { r.spec.backend = "abacus"; }, Code::kInvalidArgument, {"abacus"}},
      {[&](auto& r) { r.spec.include = {"re:("}; }, Code::kInvalidArgument, {"re:("}},
      {[&](auto& r) { r.spec.skip = {"*"}; }, Code::kInvalidArgument, {"in.safetensors"}},
      {[&](auto& r) { r.spec.fit = codec::Fit::kNearest; }, Code::kInvalidArgument, {"nearest"}},
  };
  for (const Case& c : cases) {
    JobRequest request = good;
    c.change(request);
    INFO("words: " << c.words.front());
    CHECK_THAT(Refusal(request), IsStatus(c.code, c.words));
  }
  CHECK(engine->service->Create(good, "", true).ok());
}

TEST_CASE_METHOD(ServiceFixture, "a result that could not be fetched is refused, naming the file") {
  fs::create_directory(directory / "model");
  fs::copy(directory / "in.safetensors", directory / "model/model.safetensors");
  JobRequest request = Request("model", "");
  request.destination = {true, "", false};
  CHECK(engine->service->Create(request, "", true).ok());
  const std::string name = "notes (1).txt";
  WriteText(directory / ("model/" + name), "x");
  const absl::Status refused = Refusal(request);
  CHECK_THAT(refused, IsInvalidField("job.destination"));
  CHECK_THAT(refused, IsStatus(Code::kInvalidArgument, {name, "rename it"}));
  CHECK(DetailsOf(refused)["file"] == name);
  CHECK(engine->service->Create(Request("model", "o"), "", true).ok());  // on disk it has its name
}

TEST_CASE_METHOD(ServiceFixture,
                 "what is wrong with the output is told before the source is there") {
  WriteText(directory / "out/there", "x");
  REQUIRE(mkfifo((directory / "out/pipe").c_str(), 0600) == 0);
  before = Outputs();
  JobRequest request = Request("", "new");
  request.source = {"artifacts/to-come", ""};
  CHECK(DetailsOf(Refusal(request))["field"] == "job.source.artifact");
  struct Case {
    std::string destination;
    Code code;
    std::string reason;
  };
  const Case cases[] = {
      {Uri("out/there"), Code::kAlreadyExists, "OUTPUT_EXISTS"},
      {Uri("out/pipe"), Code::kInvalidArgument, "FIELD_INVALID"},
      {Uri("out/" + std::string(250, 'n')), Code::kInvalidArgument, "FIELD_INVALID"},
      {Uri("none/new"), Code::kNotFound, ""},
      {"s3://bucket/key", Code::kFailedPrecondition, "S3_NOT_CONFIGURED"},
  };
  for (const Case& c : cases) {
    INFO(c.destination);
    request.destination.uri = c.destination;
    const absl::Status refused = Refusal(request);
    CHECK_THAT(refused, IsStatus(c.code, {}));
    CHECK(ReasonOf(refused) == c.reason);
    CHECK(DetailsOf(refused)["field"] != "job.source.artifact");
  }
}

// An artifact with a checkpoint in it.
void PutArtifact(const TemporaryDirectory& directory, const std::string& id) {
  fs::create_directories(directory / ("data/artifacts/" + id));
  fs::copy(directory / "in.safetensors", directory / ("data/artifacts/" + id + "/m.safetensors"));
}

TEST_CASE_METHOD(ServiceFixture, "a job whose source is deleted as it is made is not made") {
  fault_point = [this](std::string_view step) {
    if (step == "create.checked") {
      CHECK(engine->artifact_service->Delete("", "artifacts/up").ok());
    }
  };
  Compose();
  PutArtifact(directory, "up");
  JobRequest request = Request("", "o");
  request.source = {"artifacts/up", ""};
  CHECK_THAT(engine->service->Create(request, "", false).status(),
             IsStatus(Code::kNotFound, {"artifacts/up"}));
  CHECK(engine->service->List({})->jobs.empty());
}

TEST_CASE_METHOD(ServiceFixture, "a request id that was used is known without making anything") {
  const JobRequest request = Request("in.safetensors", "o");
  JobRequest other = request;
  other.priority = 3;
  CHECK(engine->service->Create(request, "id", true)->name.empty());
  REQUIRE(engine->scheduler->Start().ok());
  const std::string name = engine->service->Create(request, "id", false)->name;
  REQUIRE(engine->WaitForEnd(name).state == JobState::kSucceeded);  // its output is in the way now
  CHECK(engine->service->Create(request, "id", true)->name == name);
  CHECK(ReasonOf(engine->service->Create(other, "id", true).status()) == "REQUEST_ID_REUSED");
  CHECK(absl::IsAlreadyExists(engine->service->Create(request, "", true).status()));
  CHECK(engine->service->List({})->jobs.size() == 1);
}

TEST_CASE_METHOD(ServiceFixture, "a job whose source is gone is not queued again") {
  fake->before = [](auto&&...) { return absl::InternalError("broken"); };
  Compose();
  PutArtifact(directory, "up");
  JobRequest request = Request("", "o");
  request.source = {"artifacts/up", ""};
  REQUIRE(engine->scheduler->Start().ok());
  const std::string name = engine->service->Create(request, "", false)->name;
  CHECK(engine->WaitForEnd(name).state == JobState::kFailed);
  fs::rename(directory / "data/artifacts/up", directory / "aside");
  CHECK_THAT(engine->service->Resume(name).status(), IsStatus(Code::kNotFound, {"artifacts/up"}));
  CHECK(engine->service->Get(name)->state == JobState::kFailed);
  fs::rename(directory / "aside", directory / "data/artifacts/up");
  fake->before = [](auto&&...) { return absl::OkStatus(); };
  REQUIRE(engine->service->Resume(name).ok());
  CHECK(engine->WaitForEnd(name).state == JobState::kSucceeded);
}

// Calls back between the question whether a job needs an artifact and what follows from the answer.
class AskedJobStore : public FlakyJobStore {
 public:
  AskedJobStore(std::unique_ptr<JobStore> store, std::function<void()> after)
      : FlakyJobStore(std::move(store), std::make_shared<std::atomic<int>>(0)),
        after_(std::move(after)) {}
  absl::StatusOr<std::optional<JobRecord>> NeededBy(std::string_view owner,
                                                    std::string_view artifact) override {
    auto answer = FlakyJobStore::NeededBy(owner, artifact);
    after_();
    return answer;
  }

 private:
  const std::function<void()> after_;
};

TEST_CASE_METHOD(ServiceFixture, "no job is made of an artifact that is being deleted") {
  std::jthread creator;
  std::promise<absl::Status> created;
  std::future<absl::Status> outcome = created.get_future();
  wrap_store = [&](std::unique_ptr<JobStore> store) {
    return std::make_unique<AskedJobStore>(std::move(store), [&] {
      creator = std::jthread([&] {
        JobRequest request = Request("", "o");
        request.source = {"artifacts/up", ""};
        created.set_value(engine->service->Create(request, "", false).status());
      });
      outcome.wait_for(std::chrono::milliseconds(300));  // it would be made by then, if it could
    });
  };
  Compose();
  PutArtifact(directory, "up");
  CHECK(engine->artifact_service->Delete("", "artifacts/up").ok());
  CHECK_THAT(outcome.get(), IsStatus(Code::kNotFound, {"artifacts/up"}));
  CHECK(engine->service->List({})->jobs.empty());
}

TEST_CASE_METHOD(ServiceFixture, "a file of the source that is a link out of the root is refused") {
  const TemporaryDirectory elsewhere;
  WriteText(elsewhere / "secret", "s");
  fs::create_directory(directory / "model");
  fs::copy(directory / "in.safetensors", directory / "model/model.safetensors");
  fs::create_symlink(elsewhere / "secret", directory / "model/config.txt");
  CHECK_THAT(Refusal(Request("model", "new")),
             IsStatus(Code::kPermissionDenied, {"model/config.txt", "outside"}));
}

TEST_CASE_METHOD(ServiceFixture, "reasons for programs") {
  WriteText(directory / "out/there", "x");
  WriteText(directory / "bad.safetensors", "\x01\x02\x03");
  before = Outputs();
  CHECK(ReasonOf(Refusal(Request("in.safetensors", "there"))) == "OUTPUT_EXISTS");
  CHECK(ReasonOf(Refusal(Request("bad.safetensors", "new"))) == "CHECKPOINT_INVALID");
  JobRequest request = Request("in.safetensors", "new");
  request.spec.backend = "abacus";
  CHECK(ReasonOf(Refusal(request)) == "BACKEND_UNKNOWN");
}

TEST_CASE_METHOD(ServiceFixture, "names of jobs are checked") {
  for (const char* name : {"", "jobs/", "artifacts/x"}) {
    CHECK(absl::IsInvalidArgument(engine->service->Get(name).status()));
    CHECK(absl::IsInvalidArgument(engine->service->Cancel(name).status()));
    CHECK(absl::IsInvalidArgument(engine->service->ReadEvents(name, {0, 1}).status()));
  }
  CHECK_THAT(engine->service->Get("jobs/none").status(), IsStatus(Code::kNotFound, {"jobs/none"}));
  CHECK_THAT(engine->service->Cancel("jobs/none").status(),
             IsStatus(Code::kNotFound, {"jobs/none"}));
}

TEST_CASE_METHOD(ServiceFixture, "a job that no scheduler holds can be cancelled") {
  JobRecord record;
  record.name = "jobs/stored";
  REQUIRE(engine->store->Insert(record, {}).ok());
  CHECK(engine->service->Cancel("jobs/stored")->state == JobState::kCancelled);
}

TEST_CASE_METHOD(ServiceFixture, "backends are listed with the shards they take at a time") {
  bool reference = false;
  for (const BackendUse& use : engine->service->Backends()) {
    CHECK(use.workers == (use.info.available ? 4 : 0));
    reference |= use.info.name == "reference";
  }
  CHECK(reference);
}

}  // namespace
}  // namespace seedlm::server
