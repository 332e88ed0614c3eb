// Jobs whose output goes to an S3 server that does not answer: what they hold up, and what not.
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "server/errors/reason.h"
#include "server/storage/s3_ledger.h"
#include "tests/server/fake_s3.h"
#include "tests/server/gated_fixture.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

using Json = nlohmann::json;

struct S3JobsFixture : GatedFixture {
  S3JobsFixture() { s3 = server.options(); }
  ~S3JobsFixture() { engine.reset(); }  // before the server
  JobRequest ToS3(const std::string& prefix) const {
    JobRequest request = Request("in.safetensors", "");
    request.destination.uri = "s3://models/" + prefix;
    return request;
  }
  // The name of a job that FAILED when S3 refused a part, another one of which it may have.
  std::string FailInTheMiddle(int status) {
    std::filesystem::remove(directory / "in.safetensors");
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 4096, 4096, 1u)});
    s3.retry.patience = kSoon;
    Start({.threads = 2});
    gate.Open();
    server.Fail(Json::array({Json{{"operation", "UploadPart"},
                                  {"action", "status"},
                                  {"status", status},
                                  {"skip", 1},
                                  {"times", 1'000'000}}}));
    const std::string name = Create(ToS3("a"));
    REQUIRE(engine->WaitForEnd(name).state == JobState::kFailed);
    server.Fail(Json::array());
    return name;
  }
  void AwaitNoUploads() const {
    for (int i = 0; i < 3000 && !server.State()["uploads"].empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(server.State()["uploads"].empty());
  }
  FakeS3 server;
};

TEST_CASE_METHOD(S3JobsFixture,
                 "a job that failed as S3 was away keeps what it sent until it is resumed") {
  const std::string staged = directory / "data/s3";
  std::filesystem::create_directories(staged);  // as earlier versions made it
  std::filesystem::permissions(staged, std::filesystem::perms(0755));
  const std::string name = FailInTheMiddle(503);
  CHECK(std::filesystem::status(staged).permissions() == std::filesystem::perms(0700));
  if (GENERATE(false, true)) Start({.threads = 2});  // another server
  CHECK(server.State()["uploads"].size() == 1);
  REQUIRE(engine->service->Resume(name).ok());
  CHECK(engine->WaitForEnd(name).state == JobState::kSucceeded);
  CHECK(server.Calls("CreateUpload") == 1);
  CHECK(server.Calls("AbortUpload") == 0);
  CHECK(server.State()["objects"].size() == 1);
  AwaitNoUploads();
}

TEST_CASE_METHOD(S3JobsFixture, "what a job has sent is aborted once it no longer wants it") {
  size_t objects = 0;
  SECTION("it is deleted") {
    const std::string name = FailInTheMiddle(503);
    REQUIRE(engine->service->Delete(name).ok());
    AwaitNoUploads();
  }
  SECTION("it failed, and not as S3 was away") {
    const std::string name = FailInTheMiddle(403);
    AwaitNoUploads();
    REQUIRE(engine->service->Resume(name).ok());
    CHECK(engine->WaitForEnd(name).state == JobState::kSucceeded);
    objects = 1;
  }
  SECTION("it is cancelled before it has looked at it again") {
    const std::string name = FailInTheMiddle(503);
    server.Fail(Json::array({Json{
        {"operation", "ListObjects"}, {"action", "stall"}, {"seconds", 3600}, {"times", 1000}}}));
    const int before = server.Calls("ListObjects");
    REQUIRE(engine->service->Resume(name).ok());
    while (server.Calls("ListObjects") == before) std::this_thread::yield();
    REQUIRE(engine->service->Cancel(name).ok());
    CHECK(engine->WaitForEnd(name).state == JobState::kCancelled);
    server.Fail(Json::array());
    AwaitNoUploads();
  }
  SECTION("its source has changed") {
    const std::string name = FailInTheMiddle(503);
    std::filesystem::remove(directory / "in.safetensors");
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 4096, 4096, 2u)});
    REQUIRE(engine->service->Resume(name).ok());
    CHECK(engine->WaitForEnd(name).error.reason == "SOURCE_CHANGED");
    AwaitNoUploads();
  }
  CHECK(server.State()["objects"].size() == objects);
}

TEST_CASE_METHOD(S3JobsFixture,
                 "what a job has made goes when it is cancelled while its server stops") {
  std::filesystem::create_directory(directory / "in");
  WriteSafetensors(directory / "in/model.safetensors", {F32Tensor("a.weight", 640, 64, 1u)});
  WriteText(directory / "in/tokens.txt", "words");
  JobRequest request = ToS3("a");
  request.source.uri = Uri("in");
  request.destination.overwrite = GENERATE(false, true);
  Start({.threads = 2});
  gate.Open();
  server.Fail(Json::array({Json{{"operation", "PutObject"},
                                {"action", "stall"},
                                {"seconds", 3600},
                                {"skip", 1},
                                {"times", 1'000'000}}}));
  const std::string name = Create(request);
  while (server.Calls("PutObject") < 2) std::this_thread::yield();
  engine->scheduler->Shutdown();
  server.Fail(Json::array());
  CHECK(server.State()["objects"].size() == 1);
  CHECK(engine->service->Cancel(name)->state == JobState::kCancelled);
  const bool deleted = GENERATE(false, true);  // as far as a killed server came
  if (deleted) REQUIRE(engine->store->BeginDelete(name, "").ok());
  if (GENERATE(false, true)) {  // meanwhile one without keys
    const s3::Options keys = s3;
    s3.credentials = {};
    Start({.threads = 2});
    REQUIRE(engine->service->FinishDeletions().ok());
    s3 = keys;
  }
  Start({.threads = 2});
  REQUIRE(engine->service->FinishDeletions().ok());
  const std::string ledgers = directory.path() + "/data/s3";
  for (int i = 0; i < 3000 && !S3Ledger::Find(ledgers).empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(S3Ledger::Find(ledgers).empty());
  // What an overwrite has replaced would not come back.
  CHECK(server.State()["objects"].size() == (request.destination.overwrite ? 1 : 0));
}

TEST_CASE_METHOD(S3JobsFixture,
                 "jobs that wait for an S3 server keep no worker from others' jobs") {
  const std::string operation = GENERATE("ListObjects", "PutObject");  // of opening, of committing
  INFO(operation);
  Start({2, 64 * 64, false});
  // Both workers are held until all jobs are there.
  const std::string held = Create(Request("in.safetensors", "held"));
  gate.WaitForShards(2);
  const std::string first = Create(ToS3("a"));
  const std::string second = Create(ToS3("b"));
  const std::string local = Create(Request("in.safetensors", "local"));
  const int before = server.Calls(operation);
  server.Fail(Json::array(
      {Json{{"operation", operation}, {"action", "stall"}, {"seconds", 3600}, {"times", 1000}}}));
  gate.Open();
  CHECK(engine->WaitForEnd(held).state == JobState::kSucceeded);
  // Until both are at it.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (server.Calls(operation) < before + 2 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  CHECK(engine->WaitForEnd(local).state == JobState::kSucceeded);
  for (const std::string& name : {first, second}) {
    CHECK(engine->service->Get(name)->state == JobState::kRunning);
  }
  server.Fail(Json::array());
  // They stop, are kept, and go on.
  REQUIRE(engine->service->Cancel(second).ok());
  CHECK(engine->WaitForEnd(second).state == JobState::kCancelled);
  Start({2, 64 * 64, false});
  CHECK(engine->WaitForEnd(first).state == JobState::kSucceeded);
  CHECK(server.State()["objects"].size() == 1);
}

std::vector<std::string> WarningsOf(Engine& engine, const std::string& name) {
  std::vector<std::string> warnings;
  const auto events = engine.service->ReadEvents(name, {0, 1000});
  REQUIRE(events.ok());
  for (const JobEvent& event : events->events) {
    if (const auto* warning = std::get_if<Warning>(&event.body)) {
      warnings.push_back(warning->message);
    }
  }
  return warnings;
}

TEST_CASE_METHOD(S3JobsFixture, "a job that is kept waiting by S3 says so once, with the cause") {
  Start({.threads = 2});
  const std::string operation = GENERATE("PutObject", "UploadPart");
  if (operation == "UploadPart") {  // parts leave on threads of the publisher
    std::filesystem::remove(directory / "in.safetensors");
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 4096, 4096, 1u)});
  }
  gate.Open();
  server.Fail(Json::array({Json{{"operation", operation},
                                {"action", "status"},
                                {"status", 503},
                                {"code", "SlowDown"},
                                {"times", 5}}}));
  const std::string name = Create(ToS3("a"));
  REQUIRE(engine->WaitForEnd(name).state == JobState::kSucceeded);
  const std::vector<std::string> warnings = WarningsOf(*engine, name);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("waits for the S3 server") && Catch::Contains("503") &&
                              Catch::Contains("s3://models/a/"));
}

TEST_CASE_METHOD(S3JobsFixture, "one failure of S3 that passes is not worth a warning") {
  Start({2, 64 * 64, false});
  gate.Open();
  server.Fail(Json::array({Json{{"operation", "PutObject"},
                                {"action", "status"},
                                {"status", 503},
                                {"code", "SlowDown"},
                                {"times", 1}}}));
  const std::string name = Create(ToS3("a"));
  REQUIRE(engine->WaitForEnd(name).state == JobState::kSucceeded);
  CHECK(WarningsOf(*engine, name).empty());
}

TEST_CASE_METHOD(S3JobsFixture, "a bucket that is not there is told before the source is") {
  Start();
  JobRequest request = ToS3("a");
  request.source = {"artifacts/to-come", ""};
  CHECK(DetailsOf(engine->service->Create(request, "", true).status())["field"] ==
        "job.source.artifact");
  request.destination.uri = "s3://no-such-bucket/a";
  const absl::Status missing = engine->service->Create(request, "", true).status();
  CHECK(ReasonOf(missing) == "S3_BUCKET_MISSING");
  CHECK(DetailsOf(missing)["field"] == "job.destination.uri");
}

TEST_CASE_METHOD(S3JobsFixture,
                 "who asks for a job and gives up is not waited for by the S3 check") {
  s3.stall_timeout = std::chrono::seconds(20);
  Start();
  server.Fail(Json::array({Json{
      {"operation", "ListObjects"}, {"action", "stall"}, {"seconds", 3600}, {"times", 1000}}}));
  const bool validate_only = GENERATE(true, false);
  std::stop_source stop;
  const std::jthread asker([&] {
    while (server.Calls("ListObjects") == 0) std::this_thread::yield();
    stop.request_stop();
  });
  const auto job = engine->service->Create(ToS3("a"), "", validate_only,
                                           {[] { return true; }, stop.get_token()});
  CHECK(absl::IsCancelled(job.status()));
  CHECK(server.Calls("ListObjects") == 1);
  CHECK(engine->service->List({})->jobs.empty());
}

TEST_CASE_METHOD(S3JobsFixture,
                 "what is staged for S3 is among its owner's bytes until it is gone") {
  JobRequest request = ToS3("a");
  request.owner = GENERATE("", "alice");
  JobRequest other = ToS3("b");
  other.owner = request.owner;
  JobRequest stranger = ToS3("c");
  stranger.owner = "bob";
  const auto check = [this](const JobRequest& wanted) {
    return engine->service->Create(wanted, "", true).status();
  };
  const auto refused =
      IsStatus(absl::StatusCode::kResourceExhausted, {"delete artifacts and jobs"});
  Start({2, 64 * 64, false});
  const Estimate estimate = engine->service->Create(request, "", true)->estimate;
  const int64_t room = estimate.output_bytes + estimate.scratch_bytes;
  max_owner_bytes = room - 1;
  Start({2, 64 * 64, false});
  CHECK_THAT(check(request), refused);
  max_owner_bytes = room + estimate.output_bytes - 1;
  Start({2, 64 * 64, false});
  const std::string name = Create(request);
  gate.WaitForShards(2);
  CHECK_THAT(check(other), refused);  // all of it counts from the beginning
  CHECK(ReasonOf(check(other)) == "OWNER_BYTES");
  CHECK(check(stranger).ok());
  server.Fail(Json::array({Json{{"operation", "PutObject"},
                                {"action", "status"},
                                {"status", 403},
                                {"code", "AccessDenied"},
                                {"times", 1000}}}));
  gate.Open();
  REQUIRE(engine->WaitForEnd(name).state == JobState::kFailed);
  AwaitIdle();
  CHECK_THAT(check(other), refused);  // what it keeps
  Start({2, 64 * 64, false});
  CHECK_THAT(check(other), refused);
  server.Fail(Json::array());
  const bool resumed = GENERATE(true, false);
  if (resumed) {  // in the place of what it keeps
    REQUIRE(engine->service->Resume(name).ok());
    CHECK(engine->WaitForEnd(name).state == JobState::kSucceeded);
    AwaitIdle();
  } else {
    REQUIRE(engine->service->Delete(name).ok());
  }
  // Files are measured again a second later.
  for (int i = 0; i < 500 && !check(other).ok(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(check(other).ok());
}

TEST_CASE_METHOD(S3JobsFixture,
                 "many jobs for S3 all come to their end, and few are opened ahead") {
  constexpr int kJobs = 3 * kWaitingThreads;
  Start({2, 64 * 64, false});
  std::vector<std::string> names;
  for (int i = 0; i < kJobs; ++i) names.push_back(Create(ToS3("job" + std::to_string(i))));
  gate.WaitForShards(2);
  CHECK(engine->scheduler->Load().queued >= kJobs - 8);  // two are at work, a few may be opened
  gate.Open();
  for (const std::string& name : names) {
    const JobRecord job = engine->WaitForEnd(name);
    INFO(job.error.message);
    CHECK(job.state == JobState::kSucceeded);
  }
  CHECK(server.State()["objects"].size() == kJobs);
}

}  // namespace
}  // namespace seedlm::server
