// Outputs that leave for an S3 server while they grow.
#include "server/storage/s3_publisher.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "kernels/checksum/sha256.h"
#include "tests/server/file_size_limit.h"
#include "tests/server/s3_publisher_fixture.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;
using Json = nlohmann::json;

using Fixture = S3PublisherFixture;

TEST_CASE_METHOD(Fixture,
                 "s3 sink: parts leave while the rest is not there yet; objects at the end") {
  const auto publisher = Make();
  REQUIRE(Begin(*publisher) == absl::OkStatus());
  // The second part is whole first.
  REQUIRE(publisher->RangeIsFinal({0, kPart - 1, kPart + 1}).ok());
  while (fake.Calls("UploadPart") == 0) std::this_thread::yield();
  CheckVisible(false);
  REQUIRE(publisher->RangeIsFinal({0, 0, kPart - 1}).ok());
  REQUIRE(publisher->RangeIsFinal({0, 2 * kPart, 77}).ok());
  REQUIRE(publisher->Publish(Stored(), {}) == absl::OkStatus());
  CheckVisible(true);
  CHECK(fake.Calls("UploadPart") == 3);
}

TEST_CASE_METHOD(Fixture, "s3 sink: the whole way, with nothing left over") {
  auto publisher = Make();
  REQUIRE(Whole(*publisher) == absl::OkStatus());
  CheckVisible(true);
  CHECK(*publisher->WasPublished("", Stored(), {}));
  publisher.reset();
  AwaitNoOrphans();
  // A later attempt, after a kill before the success was recorded, recognises it.
  CHECK(*Make()->WasPublished("", Stored(), {}));
  auto other = Stored();
  other[0].size += 1;
  CHECK_FALSE(*Make()->WasPublished("", other, {}));
}

TEST_CASE_METHOD(Fixture, "s3 sink: what passes does not fail the job") {
  const Json fault = GENERATE(
      Json{{"operation", "UploadPart"}, {"action", "cut"}, {"times", 3}},
      Json{{"operation", "UploadPart"}, {"action", "status"}, {"status", 503}, {"times", 3}},
      Json{{"operation", "CreateUpload"}, {"action", "lose_answer"}},
      Json{{"operation", "CompleteUpload"}, {"action", "lose_answer"}},
      Json{{"operation", "PutObject"}, {"action", "lose_answer"}},
      Json{{"operation", "*"}, {"action", "no_etag"}, {"times", 100}});
  INFO(fault.dump());
  auto publisher = Make();
  fake.Fail(Json::array({fault}));
  REQUIRE(Whole(*publisher) == absl::OkStatus());
  CheckVisible(true);
  publisher.reset();
  AwaitNoOrphans();  // of a repeated CreateUpload, too
  CHECK(fake.State()["fired"] >= 1);
}

TEST_CASE_METHOD(Fixture,
                 "s3 sink: what does not pass fails it, named, with nothing visible or left") {
  struct Row {
    Json fault;
    Code code;
    const char* words;
  };
  const Row row = GENERATE(
      Row{{{"operation", "UploadPart"},
           {"action", "status"},
           {"status", 403},
           {"code", "AccessDenied"},
           {"skip", 1}},
          Code::kPermissionDenied,
          "AccessDenied"},
      Row{{{"operation", "CreateUpload"}, {"action", "status"}, {"status", 400}, {"code", "Odd"}},
          Code::kFailedPrecondition,
          "Odd"},
      Row{{{"operation", "UploadPart"},
           {"action", "status"},
           {"status", 503},
           {"times", 1'000'000}},
          Code::kUnavailable,
          "503"},
      Row{{{"operation", "CompleteUpload"}, {"action", "status"}, {"status", 403}},
          Code::kPermissionDenied,
          "403"},
      // When some objects are there already.
      Row{{{"operation", "PutObject"}, {"action", "status"}, {"status", 403}, {"skip", 2}},
          Code::kPermissionDenied,
          "403"});
  INFO(row.fault.dump());
  s3::Options options = fake.options();
  options.retry.patience = kSoon;
  Connect(options);
  auto publisher = Make();
  fake.Fail(Json::array({row.fault}));
  CHECK_THAT(Whole(*publisher), IsStatus(row.code, {"s3://models/out/tiny/", row.words}));
  CheckVisible(false);
  publisher.reset();
  fake.Fail(Json::array());
  AwaitNoOrphans();
}

TEST_CASE_METHOD(Fixture, "s3 sink: a disk that is full for the ledger fails the job by its name") {
  auto publisher = Make();
  REQUIRE(Begin(*publisher) == absl::OkStatus());
  const std::string ledger = S3Ledger::Find(scratch / "ledgers").at(0);
  {
    const FileSizeLimit full(std::filesystem::file_size(ledger) + 5);
    const absl::Status announced = AllIsFinal(*publisher);
    const absl::Status published = announced.ok() ? publisher->Publish(Stored(), {}) : announced;
    CHECK_THAT(published, IsStatus(Code::kResourceExhausted, {".ledger"}));
  }
  CHECK(fake.Calls("CreateUpload") == 0);
  CheckVisible(false);
  CHECK(S3Ledger::Read(ledger).ok());
  publisher.reset();
  AwaitNoOrphans();
}

TEST_CASE_METHOD(Fixture, "s3 sink: an outage from the middle of completing to after the end") {
  const Json out{{"action", "status"}, {"status", 503}, {"times", 1'000'000}};
  const auto fails = [&out](const char* operation, int skip) {
    Json rule = out;
    rule["operation"] = operation;
    rule["skip"] = skip;
    return rule;
  };
  s3::Options options = fake.options();
  options.retry.patience = kSoon;
  Connect(options);
  auto publisher = Make();
  REQUIRE(Begin(*publisher) == absl::OkStatus());
  REQUIRE(AllIsFinal(*publisher) == absl::OkStatus());
  // The first small file is there by then, and cannot be removed again.
  fake.Fail(Json::array({fails("PutObject", 1), fails("DeleteObject", 0)}));
  CHECK_THAT(publisher->Publish(Stored(), {}), IsStatus(Code::kUnavailable, {"503"}));
  CHECK_FALSE(fake.State()["objects"].empty());
  fake.Fail(Json::array({fails("*", 0)}));
  publisher.reset();
  SECTION("the sweeper removes what was visible") {
    fake.Fail(Json::array());
    AwaitNoOrphans();
    CheckVisible(false);
  }
  SECTION("the next server does") {
    Connect(options);
    fake.Fail(Json::array());
    for (const std::string& path : S3Ledger::Find(scratch / "ledgers")) sweeper->Take(path);
    AwaitNoOrphans();
    CheckVisible(false);
  }
  SECTION("another attempt has objects of its own, and keeps them") {
    fake.Fail(Json::array());
    auto again = Make();
    REQUIRE(Whole(*again) == absl::OkStatus());
    again.reset();
    AwaitNoOrphans();
    CheckVisible(true);
  }
}

TEST_CASE_METHOD(Fixture, "s3 sink: a stop while it completes at a server that does not answer") {
  s3::Options options = fake.options();
  options.stall_timeout = std::chrono::seconds(8);
  options.retry.patience = kSoon;
  Connect(options);
  auto publisher = Make();
  REQUIRE(Begin(*publisher) == absl::OkStatus());
  REQUIRE(AllIsFinal(*publisher) == absl::OkStatus());
  fake.Fail(Json::array({Json{{"operation", "PutObject"},
                              {"action", "stall"},
                              {"seconds", 3600},
                              {"skip", 1},
                              {"times", 100}}}));
  std::stop_source stop;
  {
    const std::jthread stopper([&] {
      while (fake.Calls("PutObject") < 2) std::this_thread::yield();
      stop.request_stop();
    });
    CHECK(absl::IsCancelled(publisher->Publish(Stored(), stop.get_token())));
  }
  CHECK(fake.Calls("PutObject") == 2);     // no further try
  CHECK(fake.Calls("DeleteObject") == 0);  // that is for later
  // Some objects are there, this job's, and are not taken for an output that was published.
  std::vector<StoredFile> there = Stored();
  std::erase_if(there, [](const StoredFile& file) { return file.path != kModel; });
  REQUIRE(fake.State()["objects"].contains("models/out/tiny/" + std::string(kModel)));
  fake.Fail(Json::array({Json{{"operation", "DeleteObject"},
                              {"action", "status"},
                              {"status", 503},
                              {"times", 1'000'000}}}));
  publisher.reset();
  CHECK_FALSE(*Make()->WasPublished("", there, {}));
  fake.Fail(Json::array());
  AwaitNoOrphans();
  CheckVisible(false);
}

TEST_CASE_METHOD(Fixture, "s3 sink: an object whose making was never answered is undone, too") {
  s3::Options options = fake.options();
  options.retry.patience = kSoon;
  Connect(options);
  auto publisher = Make();
  fake.Fail(Json::array(
      {Json{{"operation", "PutObject"}, {"action", "lose_answer"}}, Json{{"operation", "PutObject"},
                                                                         {"action", "status"},
                                                                         {"status", 503},
                                                                         {"times", 1'000'000}}}));
  CHECK_THAT(Whole(*publisher), IsStatus(Code::kUnavailable, {"503"}));
  CheckVisible(false);
  publisher.reset();
  AwaitNoOrphans();
}

TEST_CASE_METHOD(Fixture, "s3 sink: what is to be undone and is somebody else's by now stays") {
  const s3::ObjectName object{"models", "out/tiny/a"};
  REQUIRE(client->PutObject(object, s3::BodyOf("x"), s3::Existing::kKeep, "jobs/2", {}).ok());
  auto ledger = S3Ledger::Create(scratch / "ledgers", "1", "models");
  REQUIRE((*ledger)->Undo(object.key, "jobs/1").ok());
  const auto claimed = [](const s3::ObjectName&) { return true; };
  CHECK(absl::IsAborted(SweepLedger(*client, (*ledger)->path(), {}, claimed)));
  REQUIRE(SweepLedger(*client, (*ledger)->path(), {}) == absl::OkStatus());
  CHECK(fake.State()["objects"].size() == 1);
  CHECK(S3Ledger::Find(scratch / "ledgers").empty());
}

TEST_CASE_METHOD(Fixture, "s3 sink: a job that is stopped leaves nothing") {
  auto publisher = Make();
  REQUIRE(Begin(*publisher) == absl::OkStatus());
  REQUIRE(AllIsFinal(*publisher) == absl::OkStatus());
  std::stop_source stop;
  stop.request_stop();
  CHECK(absl::IsCancelled(publisher->Publish(Stored(), stop.get_token())));
  CheckVisible(false);
  publisher.reset();
  AwaitNoOrphans();
}

TEST_CASE_METHOD(Fixture, "s3 sink: what a killed server left is aborted by the next") {
  // Its ledger, as the disk has it: one upload with its id, one whose answer never came, a line
  // cut.
  const auto known = client->CreateUpload({"models", "out/tiny/a"}, "jobs/1", {});
  REQUIRE(client->CreateUpload({"models", "out/tiny/b"}, "jobs/1", {}).ok());
  REQUIRE(client->CreateUpload({"models", "out/tiny/bystander"}, "jobs/2", {}).ok());
  auto ledger = S3Ledger::Create(scratch / "ledgers", "1", "models");
  REQUIRE((*ledger)->Begin("out/tiny/a", std::time(nullptr)).ok());
  REQUIRE((*ledger)->Opened("out/tiny/a", *known, 77, kPart).ok());
  REQUIRE((*ledger)->Begin("out/tiny/b", std::time(nullptr)).ok());
  std::ofstream((*ledger)->path(), std::ios::app) << "{\"begin\": \"out/ti";
  fake.Fail(Json::array({Json{{"action", "status"}, {"status", 503}, {"times", 20}}}));
  sweeper->Take((*ledger)->path());
  while (!sweeper->idle()) std::this_thread::yield();
  const Json uploads = fake.State()["uploads"];
  REQUIRE(uploads.size() == 1);
  CHECK(uploads[0]["key"] == "out/tiny/bystander");
  CHECK(S3Ledger::Find(scratch / "ledgers").empty());
}

TEST_CASE_METHOD(Fixture,
                 "s3 sink: an upload of the same key from long before is somebody else's") {
  REQUIRE(client->CreateUpload({"models", "out/tiny/b"}, "jobs/1", {}).ok());
  auto ledger = S3Ledger::Create(scratch / "ledgers", "1", "models");
  REQUIRE((*ledger)->Begin("out/tiny/b", std::time(nullptr) + 3600).ok());
  REQUIRE(SweepLedger(*client, (*ledger)->path(), {}) == absl::OkStatus());
  CHECK(fake.State()["uploads"].size() == 1);
}

TEST_CASE_METHOD(Fixture, "s3 sink: what another job may have left is not the next one's") {
  REQUIRE(client->CreateUpload({"models", std::string("out/tiny/") + kModel}, "jobs/2", {}).ok());
  auto ledger = S3Ledger::Create(scratch / "ledgers", "2", "models");
  REQUIRE((*ledger)
              ->Begin(std::string("out/tiny/") + kModel, std::time(nullptr))
              .ok());  // killed before the id
  auto publisher = Make();
  REQUIRE(Begin(*publisher) == absl::OkStatus());
  REQUIRE(publisher->RangeIsFinal({0, 0, kPart}).ok());
  while (fake.Calls("UploadPart") == 0) std::this_thread::yield();
  REQUIRE(fake.State()["uploads"].size() == 2);
  sweeper->Take((*ledger)->path());
  while (fake.Calls("ListUploads") < 3) std::this_thread::yield();  // again and again
  CHECK(fake.State()["uploads"].size() == 2);
  CHECK_FALSE(sweeper->idle());
  const auto size = static_cast<uint64_t>(files.at(kModel).size());
  REQUIRE(publisher->RangeIsFinal({0, kPart, size - kPart}).ok());
  REQUIRE(publisher->Publish(Stored(), {}) == absl::OkStatus());
  CheckVisible(true);
  publisher.reset();
  AwaitNoOrphans();
}

TEST_CASE_METHOD(Fixture, "s3 sink: who asks hears soon that the server is away; a job waits") {
  const Json away{
      {"operation", "ListObjects"}, {"action", "status"}, {"status", 503}, {"times", 5}};
  fake.Fail(Json::array({away}));
  CHECK_THAT(S3Publisher::Check(*client, target),
             IsStatus(Code::kUnavailable, {"s3://models", "tried 2 times"}));
  fake.Fail(Json::array({away}));
  CHECK(Begin(*Make()) == absl::OkStatus());
  CHECK(fake.Calls("ListObjects") == 2 + 6);
  REQUIRE(client->PutObject({"models", "out/tiny/x"}, s3::BodyOf("x"), s3::Existing::kKeep, "", {})
              .ok());
  Json mute = away;
  mute["operation"] = "HeadObject";
  const int before = fake.Calls("HeadObject");
  fake.Fail(Json::array({mute}));
  CHECK_THAT(S3Publisher::Check(*client, target), IsStatus(Code::kUnavailable, {}));
  CHECK(fake.Calls("HeadObject") == before + 2);
  fake.Fail(Json::array({away}));
  std::stop_source stop;
  stop.request_stop();
  Staging staging;
  staging.stop = stop.get_token();
  CHECK_THAT(Make()->Begin(staging), IsStatus(Code::kCancelled, {}));
}

TEST_CASE_METHOD(Fixture, "s3 sink: a prefix with something at it is refused, or written over") {
  REQUIRE(
      client->PutObject({"models", "out/tiny/zebra"}, s3::BodyOf("x"), s3::Existing::kKeep, "", {})
          .ok());
  REQUIRE(
      client->PutObject({"models", "out/tiny-2/x"}, s3::BodyOf("x"), s3::Existing::kKeep, "", {})
          .ok());
  const absl::Status refused = Begin(*Make());
  CHECK_THAT(refused, IsStatus(Code::kAlreadyExists, {"s3://models/out/tiny/zebra"}));
  CHECK(ReasonOf(refused) == "OUTPUT_EXISTS");
  target.overwrite = true;
  CHECK(Whole(*Make()) == absl::OkStatus());
  CHECK(Whole(*Make()) == absl::OkStatus());
}

TEST_CASE_METHOD(Fixture, "s3 sink: an object that appears meanwhile is not replaced") {
  auto publisher = Make();
  REQUIRE(Begin(*publisher) == absl::OkStatus());
  REQUIRE(AllIsFinal(*publisher) == absl::OkStatus());
  REQUIRE(client
              ->PutObject({"models", "out/tiny/config.json"}, s3::BodyOf("theirs"),
                          s3::Existing::kKeep, "", {})
              .ok());
  CHECK_THAT(publisher->Publish(Stored(), {}),
             IsStatus(Code::kAlreadyExists, {"s3://models/out/tiny/config.json"}));
  const Json objects = fake.State()["objects"];
  REQUIRE(objects.size() == 1);
  CHECK(objects["models/out/tiny/config.json"]["sha256"] == s3::Sha256Hex("theirs"));
}

TEST_CASE_METHOD(Fixture, "s3 sink: bytes that never became final are an error, not a hole") {
  auto publisher = Make();
  REQUIRE(Begin(*publisher) == absl::OkStatus());
  REQUIRE(publisher->RangeIsFinal({0, 0, kPart}).ok());
  CHECK_THAT(publisher->Publish(Stored(), {}), IsStatus(Code::kInternal, {kModel, "final"}));
  CheckVisible(false);
}

}  // namespace
}  // namespace seedlm::server
