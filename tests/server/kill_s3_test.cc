// The same with an output at an S3 server: its objects are those of an undisturbed run, and nothing
// else is left there.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "server/storage/s3/signature_v4.h"
#include "tests/server/fake_s3.h"
#include "tests/server/kill_fixture.h"

namespace seedlm::server {
namespace {

using Sums = std::map<std::string, std::string>;  // SHA-256 by path

constexpr int64_t kEmbedded = 24 << 10;  // rows of 256 bytes: two parts of the smallest size
constexpr int64_t kLarge = 96 << 10;     // five parts
constexpr int kLargeParts = 5;

// One for all cases, each with a prefix of its own.
const FakeS3& S3() {
  static const FakeS3 fake;
  static const bool known = [] {
    setenv("AWS_ENDPOINT_URL", fake.options().endpoint.c_str(), 1);
    setenv("AWS_ACCESS_KEY_ID", "test-key", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test-secret", 1);
    return true;
  }();
  REQUIRE(known);
  return fake;
}

const Sums& UndisturbedObjects(int64_t embedded = kEmbedded) {
  static std::map<int64_t, Sums> all;
  Sums& sums = all[embedded];
  if (sums.empty()) {
    KillFixture fixture(embedded);
    fixture.Run({});
    for (const auto& [path, content] : Tree(fixture.root() / "out")) {
      sums[path] = s3::Sha256Hex(content);
    }
  }
  return sums;
}

Sums ObjectsAt(const std::string& prefix) {
  Sums sums;
  const nlohmann::json state = S3().State();
  for (const auto& [name, object] : state["objects"].items()) {
    const std::string start = "models/" + prefix + "/";
    if (name.starts_with(start)) sums[name.substr(start.size())] = object["sha256"];
  }
  return sums;
}

int UploadsAt(const std::string& prefix) {
  int count = 0;
  const nlohmann::json state = S3().State();
  for (const auto& upload : state["uploads"]) {
    count += upload["key"].get<std::string>().starts_with(prefix + "/");
  }
  return count;
}

bool NothingLeft(const KillFixture& fixture, const std::string& prefix) {
  return UploadsAt(prefix) == 0 && Tree(fixture.folder() / "data/s3").empty();
}

// `again`: over the output of an earlier job.
void CheckKilled(const Kill& deadly, bool again = false) {
  INFO(deadly.step << " " << deadly.count << (again ? ", overwriting" : ""));
  static int cases = 0;
  const std::string prefix = "case" + std::to_string(++cases);
  (void)S3();
  KillFixture fixture(kEmbedded);
  const std::string uri = "s3://models/" + prefix;
  if (again) fixture.Run({}, {.output = uri, .three_bits = true});
  fixture.Run({deadly}, {.output = uri, .overwrite = again});
  CHECK(ObjectsAt(prefix) == UndisturbedObjects());
  // What the killed one left is swept by a server that is there for it.
  const FaultServer server(fixture.folder(), {}, fixture.commit);
  for (int i = 0; i < 1000 && !NothingLeft(fixture, prefix); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(NothingLeft(fixture, prefix));
  CHECK(ObjectsAt(prefix) == UndisturbedObjects());
}

TEST_CASE("killed on the way to S3, the same objects are there in the end, and no parts") {
  CheckKilled(
      GENERATE(Kill{"s3.created"}, Kill{"s3.sent", 2}, Kill{"s3.completed"}, Kill{"s3.made", 2}));
}

TEST_CASE("killed while it overwrites at S3, the new objects are there in the end") {
  CheckKilled({"s3.made", 2}, true);
}

template <class Condition>
bool Soon(const Condition& condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

// The last of several servers sends the parts that were not recorded as sent, and no other.
struct GoesOn {
  GoesOn() {
    static int cases = 0;
    prefix = "on" + std::to_string(++cases);
    wanted.output = "s3://models/" + prefix;
    (void)S3();
  }
  void Check() {
    CHECK(UploadsAt(prefix) <= 1);
    const int sent = fixture.Count("s3.sent");
    const int recorded = fixture.Count("s3.recorded");
    fixture.Run({}, wanted);
    CHECK(ObjectsAt(prefix) == UndisturbedObjects(kLarge));
    const int again = fixture.Count("s3.sent") - sent;
    CHECK(again <= kLargeParts - recorded);
    CHECK(again >= kLargeParts - sent);
    CHECK(fixture.Count("s3.begun") == 1);
    const FaultServer server(fixture.folder(), {}, fixture.commit);
    CHECK(Soon([&] { return NothingLeft(fixture, prefix); }));
    CHECK(ObjectsAt(prefix) == UndisturbedObjects(kLarge));
  }
  KillFixture fixture{kLarge};
  std::string prefix;
  Wanted wanted;
};

void CheckGoesOn(const std::vector<Kill>& kills) {
  GoesOn test;
  const v1::CreateJobRequest request = test.fixture.Request(test.wanted);
  for (const Kill& deadly : kills) {
    INFO(deadly.step << " " << deadly.count);
    FaultServer server(test.fixture.folder(), deadly, test.fixture.commit);
    KillFixture::RunOn(server, request);
    REQUIRE(server.DiedOfKill());
  }
  test.Check();
}

TEST_CASE("killed on the way to S3, it goes on from there") {
  CheckGoesOn(GENERATE(as<std::vector<Kill>>(), std::vector<Kill>{{"s3.recorded", 3}},
                       std::vector<Kill>{{"s3.recorded", 2}, {"s3.kept", 1}},
                       std::vector<Kill>{{"s3.completing"}}, std::vector<Kill>{{"s3.completed"}}));
}

TEST_CASE("killed at the other steps on the way to S3, it goes on from there", "[.][slow]") {
  CheckGoesOn(GENERATE(
      as<std::vector<Kill>>(), std::vector<Kill>{{"s3.opened"}}, std::vector<Kill>{{"s3.sent", 1}},
      std::vector<Kill>{{"s3.recorded", 1}}, std::vector<Kill>{{"s3.recorded", 5}},
      std::vector<Kill>{{"s3.recorded", 2}, {"s3.taken_back"}, {"s3.recorded", 1}},
      std::vector<Kill>{{"s3.recorded", 4}, {"commit.summed"}, {"commit.intended"}},
      std::vector<Kill>{{"s3.completing"}, {"s3.completing"}},
      std::vector<Kill>{{"s3.made", 1}, {"s3.made", 1}}));
}

TEST_CASE("stopped on the way to S3, it goes on from there") {
  GoesOn test;
  S3().Fail(nlohmann::json::array({nlohmann::json{{"operation", "UploadPart"},
                                                  {"action", "stall"},
                                                  {"seconds", 3600},
                                                  {"skip", 2},
                                                  {"times", 1'000'000}}}));
  {
    FaultServer server(test.fixture.folder(), {}, test.fixture.commit);
    v1::Job job;
    grpc::Status status;
    REQUIRE(server.Call(&v1::CompressionService::Stub::CreateJob, test.fixture.Request(test.wanted),
                        &job, &status));
    REQUIRE(Soon([&] { return test.fixture.Count("s3.recorded") == 2; }));
    CHECK(server.Stop());
  }
  CHECK(UploadsAt(test.prefix) == 1);
  S3().Fail(nlohmann::json::array());
  test.Check();
}

TEST_CASE("killed while it lets go of an upload that S3 has lost, it begins another") {
  GoesOn test;
  const v1::CreateJobRequest request = test.fixture.Request(test.wanted);
  const auto killed_at = [&](const Kill& deadly) {
    INFO(deadly.step << " " << deadly.count);
    FaultServer server(test.fixture.folder(), deadly, test.fixture.commit);
    KillFixture::RunOn(server, request);
    REQUIRE(server.DiedOfKill());
  };
  killed_at({"s3.recorded", 2});
  const nlohmann::json state = S3().State();
  for (const auto& upload : state["uploads"]) {
    if (upload["key"].get<std::string>().starts_with(test.prefix + "/")) {
      REQUIRE(S3().Connect()->AbortUpload({"models", upload["key"]}, upload["id"], {}).ok());
    }
  }
  killed_at({"s3.let_go"});
  killed_at({"s3.begun"});
  killed_at({"s3.created"});
  test.fixture.Run({}, test.wanted);
  CHECK(ObjectsAt(test.prefix) == UndisturbedObjects(kLarge));
  const FaultServer server(test.fixture.folder(), {}, test.fixture.commit);
  CHECK(Soon([&] { return NothingLeft(test.fixture, test.prefix); }));
}

nlohmann::json Refuse(const char* operation) {
  return {{"operation", operation},
          {"action", "status"},
          {"status", 403},
          {"code", "AccessDenied"},
          {"times", 1'000'000}};
}

TEST_CASE("killed when all is published, and refused the look at it, nothing is taken back") {
  static int cases = 0;
  const std::string prefix = "refused" + std::to_string(++cases);
  KillFixture fixture(kEmbedded);
  const v1::CreateJobRequest request = fixture.Request({.output = "s3://models/" + prefix});
  S3().Fail(nlohmann::json::array());
  {
    FaultServer server(fixture.folder(), {"commit.published"}, fixture.commit);
    KillFixture::RunOn(server, request);
    REQUIRE(server.DiedOfKill());
  }
  CHECK(ObjectsAt(prefix) == UndisturbedObjects());
  S3().Fail(nlohmann::json::array({Refuse("HeadObject")}));
  {
    FaultServer server(fixture.folder(), {}, fixture.commit);
    CHECK(KillFixture::RunOn(server, request).state() == v1::JOB_STATE_FAILED);
    S3().Fail(nlohmann::json::array());
    CHECK(server.Stop());
  }
  CHECK(ObjectsAt(prefix) == UndisturbedObjects());
  FaultServer server(fixture.folder(), {}, fixture.commit);
  v1::Job job = KillFixture::RunOn(server, request);
  REQUIRE(job.state() == v1::JOB_STATE_FAILED);
  CHECK(ObjectsAt(prefix) == UndisturbedObjects());
  grpc::Status status;
  SECTION("resumed, it has succeeded") {
    v1::ResumeJobRequest resume;
    resume.set_name(job.name());
    REQUIRE(server.Call(&v1::CompressionService::Stub::ResumeJob, resume, &job, &status));
    CHECK(KillFixture::RunOn(server, request).state() == v1::JOB_STATE_SUCCEEDED);
    CHECK(Soon([&] { return NothingLeft(fixture, prefix); }));
    CHECK(ObjectsAt(prefix) == UndisturbedObjects());
  }
  SECTION("deleted, it leaves nothing") {
    v1::DeleteJobRequest request_to_delete;
    request_to_delete.set_name(job.name());
    google::protobuf::Empty nothing;
    REQUIRE(server.Call(&v1::CompressionService::Stub::DeleteJob, request_to_delete, &nothing,
                        &status));
    CHECK(Soon([&] { return ObjectsAt(prefix).empty() && NothingLeft(fixture, prefix); }));
  }
}

int Ledgers(const KillFixture& fixture) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(fixture.folder() / "data/s3")) {
    count += entry.path().extension() == ".ledger";
  }
  return count;
}

// A job that fails as S3 refuses its last object, or its parts, killed while it takes back what
// there is.
void CheckTakenBack(const Kill& deadly) {
  INFO(deadly.step << " " << deadly.count);
  static int cases = 0;
  const std::string prefix = "back" + std::to_string(++cases);
  KillFixture fixture(kEmbedded);
  const Wanted wanted{.output = "s3://models/" + prefix};
  const v1::CreateJobRequest request = fixture.Request(wanted);
  const char* const refused = deadly.step == "sweep.aborted" ? "UploadPart" : "PutObject";
  const bool later = deadly.step.starts_with("undo.");  // by the attempt that follows
  nlohmann::json rules = nlohmann::json::array({Refuse(refused)});
  if (later) rules.push_back(Refuse("DeleteObject"));
  const int before = S3().Calls("DeleteObject");
  S3().Fail(rules);
  grpc::Status status;
  {
    FaultServer server(fixture.folder(), deadly, fixture.commit);
    v1::Job job = KillFixture::RunOn(server, request);
    if (later) {
      REQUIRE(job.state() == v1::JOB_STATE_FAILED);
      // Until the sweeper, too, has tried in vain, and pauses.
      REQUIRE(Soon([&] { return S3().Calls("DeleteObject") >= before + 2; }));
      S3().Fail(nlohmann::json::array({Refuse(refused)}));
      v1::ResumeJobRequest resume;
      resume.set_name(job.name());
      (void)server.Call(&v1::CompressionService::Stub::ResumeJob, resume, &job, &status);
    }
    REQUIRE(Soon([&] { return server.Died(); }));
    REQUIRE(server.DiedOfKill());
  }
  FaultServer server(fixture.folder(), {}, fixture.commit);
  v1::Job job = KillFixture::RunOn(server, request);
  CHECK(job.state() == v1::JOB_STATE_FAILED);
  CHECK(Soon([&] { return ObjectsAt(prefix).empty() && UploadsAt(prefix) == 0; }));
  CHECK(Soon([&] { return Ledgers(fixture) == 0; }));
  // What was searched is still there.
  S3().Fail(nlohmann::json::array());
  const int encoded = fixture.Count("shard.encoded");
  v1::ResumeJobRequest resume;
  resume.set_name(job.name());
  REQUIRE(server.Call(&v1::CompressionService::Stub::ResumeJob, resume, &job, &status));
  job = KillFixture::RunOn(server, request);
  CHECK(job.state() == v1::JOB_STATE_SUCCEEDED);
  if (deadly.step != "sweep.aborted") CHECK(fixture.Count("shard.encoded") == encoded);
  CHECK(ObjectsAt(prefix) == UndisturbedObjects());
  CHECK(Soon([&] { return NothingLeft(fixture, prefix); }));
}

TEST_CASE("killed while it takes back what it made at S3, nothing of that stays") {
  CheckTakenBack(GENERATE(Kill{"s3.undo_written"}, Kill{"s3.removed", 1}, Kill{"undo.removed"}));
}

TEST_CASE("killed at the other steps while it takes back what it made at S3", "[.][slow]") {
  CheckTakenBack(GENERATE(Kill{"s3.removed", 2}, Kill{"undo.written"}, Kill{"sweep.removed", 1},
                          Kill{"sweep.removed", 2}, Kill{"sweep.aborted"}));
}

TEST_CASE("killed at the other steps on the way to S3", "[.][slow]") {
  CheckKilled(GENERATE(Kill{"open.staged"}, Kill{"shard.encoded", 5}, Kill{"s3.begun"},
                       Kill{"s3.opened"}, Kill{"s3.sent", 1}, Kill{"commit.summed"},
                       Kill{"commit.intended"}, Kill{"s3.made", 1}, Kill{"commit.published"},
                       Kill{"end.storing"}, Kill{"end.stored"}));
}

TEST_CASE("killed at the other steps while it overwrites at S3", "[.][slow]") {
  CheckKilled(GENERATE(Kill{"s3.sent", 1}, Kill{"commit.intended"}, Kill{"s3.completed"},
                       Kill{"commit.published"}, Kill{"end.storing"}),
              true);
}

}  // namespace
}  // namespace seedlm::server
