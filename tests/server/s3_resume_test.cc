// What an attempt takes up of an output that an earlier one has sent in part, and what it does not
// trust.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "server/storage/s3_publisher.h"
#include "tests/server/file_size_limit.h"
#include "tests/server/s3_publisher_fixture.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;
using Json = nlohmann::json;

constexpr int kParts = 4;
constexpr int kSent = 3;  // of them, by the first attempt
constexpr int kAlways = 1'000'000;

// Rules of fake_s3.py.
Json Rule(const char* operation, const char* action, int times = kAlways) {
  return Json::array({Json{{"operation", operation}, {"action", action}, {"times", times}}});
}
Json Refuse(const char* operation, int status, int times = kAlways) {
  Json rules = Rule(operation, "status", times);
  rules[0]["status"] = status;
  return rules;
}

struct S3ResumeFixture : S3PublisherFixture {
  S3ResumeFixture() { files[kModel] = Data((kParts - 1) * kPart + 77, 1); }

  std::string Key() const { return std::string("out/tiny/") + kModel; }
  std::string Ledger() const { return S3Ledger::Find(scratch / "ledgers").at(0); }
  std::string UploadId() const { return fake.State()["uploads"].at(0)["id"]; }

  // An attempt that sends the first parts, and whose server then ends.
  void SendSome() {
    const auto publisher = Make();
    REQUIRE(Begin(*publisher) == absl::OkStatus());
    REQUIRE(publisher->RangeIsFinal({0, 0, kSent * kPart}).ok());
    while (Count("s3.recorded") < kSent) std::this_thread::yield();
    publisher->KeepOpen();
  }
  // Another server, with the same ledgers, and the attempt of the same job that goes on there.
  // Returns how many parts it sent.
  int GoOn() {
    Connect(fake.options());
    const int before = Count("s3.sent");
    {
      const auto publisher = Make();
      REQUIRE(Whole(*publisher) == absl::OkStatus());
    }
    CheckVisible(true);
    return Count("s3.sent") - before;
  }
  // The ledger's lines, without those of which `drop` says so.
  template <class Drop>
  void Edit(const Drop& drop) const {
    std::istringstream lines(ReadText(Ledger()));
    std::string kept;
    for (std::string line; std::getline(lines, line);) {
      if (!drop(line)) kept += line + "\n";
    }
    WriteText(Ledger(), kept);
  }
  void WithoutLines(const std::string& words) const {
    Edit([&](const std::string& line) { return line.find(words) != std::string::npos; });
  }
};

TEST_CASE_METHOD(S3ResumeFixture, "s3 resume: of what is there nothing is sent again") {
  SendSome();
  CHECK(sweeper->idle());
  CHECK(fake.State()["uploads"].size() == 1);
  CHECK(GoOn() == kParts - kSent);
  CHECK(Count("s3.kept") == kSent);
  REQUIRE(informed.size() == 1);
  CHECK(informed[0] == "s3://models/" + Key() + ": 3 of 4 parts are at S3 already");
  CHECK(fake.Calls("CreateUpload") == 1);
  CHECK(fake.Calls("UploadPart") == kParts);
  AwaitNoOrphans();
}

TEST_CASE_METHOD(S3ResumeFixture, "s3 resume: through several servers") {
  SendSome();
  const bool lost = GENERATE(false, true);  // then it is the second one's upload
  if (lost) REQUIRE(client->AbortUpload({"models", Key()}, UploadId(), {}).ok());
  Connect(fake.options());
  {
    const auto publisher = Make();
    REQUIRE(Begin(*publisher) == absl::OkStatus());
    REQUIRE(AllIsFinal(*publisher) == absl::OkStatus());
    const int parts = kParts + (lost ? kSent : 0);
    while (Count("s3.recorded") < parts) std::this_thread::yield();
    publisher->KeepOpen();
  }
  CHECK(GoOn() == 0);
  CHECK(fake.Calls("CreateUpload") == (lost ? 2 : 1));
  AwaitNoOrphans();
}

TEST_CASE_METHOD(S3ResumeFixture,
                 "s3 resume: what cannot be proved is sent again, and nothing else") {
  struct Row {
    const char* what;
    std::function<void(S3ResumeFixture&)> before;  // the first attempt
    std::function<void(S3ResumeFixture&)> between;
    int again;
    int uploads;  // that were begun in all
  };
  const auto nothing = [](S3ResumeFixture&) {};
  const Row row = GENERATE_COPY(
      Row{"a part with other bytes at the server", nothing,
          [](S3ResumeFixture& f) {
            const s3::Body other = s3::BodyOf(Data(kPart, 9));
            REQUIRE(f.client->UploadPart({"models", f.Key()}, f.UploadId(), 2, other, {}).ok());
          },
          1, 1},
      Row{"a part of another size", nothing,
          [](S3ResumeFixture& f) {
            const s3::Body other = s3::BodyOf(f.files[kModel].substr(0, kPart - 1));
            REQUIRE(f.client->UploadPart({"models", f.Key()}, f.UploadId(), 1, other, {}).ok());
          },
          1, 1},
      Row{"a part of another size, where ETags say nothing",
          [](S3ResumeFixture& f) { f.fake.Fail(Rule("*", "same_etag")); },
          [](S3ResumeFixture& f) {
            const s3::Body other = s3::BodyOf(f.files[kModel].substr(0, kPart - 1));
            REQUIRE(f.client->UploadPart({"models", f.Key()}, f.UploadId(), 1, other, {}).ok());
          },
          1, 1},
      Row{"other bytes that are staged", nothing,
          [](S3ResumeFixture& f) { f.files[kModel][kPart + 7] ^= 1; }, 1, 1},
      Row{"another file", nothing, [](S3ResumeFixture& f) { f.files[kModel] += "longer"; }, kSent,
          2},
      Row{"parts without ETags",
          [](S3ResumeFixture& f) { f.fake.Fail(Rule("UploadPart", "no_etag", 2)); }, nothing, 2, 1},
      Row{"a list without ETags", nothing,
          [](S3ResumeFixture& f) { f.fake.Fail(Rule("ListParts", "no_etag", 1)); }, 2,
          1},  // one of two pages
      Row{"no ETags at all", [](S3ResumeFixture& f) { f.fake.Fail(Rule("*", "no_etag")); }, nothing,
          kSent, 1},
      Row{"ETags that are no MD5 sums",
          [](S3ResumeFixture& f) { f.fake.Fail(Rule("*", "own_etag")); }, nothing, 0, 1},
      Row{"parts that were not written down", nothing,
          [](S3ResumeFixture& f) { f.WithoutLines("\"number\":3,"); }, 1, 1},
      Row{"an upload that the server has lost", nothing,
          [](S3ResumeFixture& f) {
            REQUIRE(f.client->AbortUpload({"models", f.Key()}, f.UploadId(), {}).ok());
          },
          kSent, 2},
      Row{"a server that does not list parts", nothing,
          [](S3ResumeFixture& f) { f.fake.Fail(Refuse("ListParts", 403)); }, kSent, 2},
      Row{"a server that answers late", nothing,
          [](S3ResumeFixture& f) { f.fake.Fail(Refuse("ListParts", 503, 2)); }, 0, 1},
      Row{"parts of another size from now on", nothing,
          [](S3ResumeFixture& f) { f.transfer.part_bytes = 2 * kPart; }, 0, 1},
      Row{"a ledger that was cut off", nothing,
          [](S3ResumeFixture& f) {
            std::ofstream(f.Ledger(), std::ios::app) << "{\"part\": \"out";
          },
          0, 1},
      Row{"a ledger of a version that sent all again", nothing,
          [](S3ResumeFixture& f) {
            std::string text = ReadText(f.Ledger());
            text.erase(text.find("{\"crc32c\""));  // the first part
            const size_t size = text.find(",\"part_bytes\"");
            REQUIRE(size != std::string::npos);
            text.replace(size, text.size() - size, "}\n");
            WriteText(f.Ledger(), text);
          },
          kSent, 2});
  INFO(row.what);
  row.before(*this);
  SendSome();
  row.between(*this);
  CHECK(GoOn() == kParts - kSent + row.again);
  CHECK(fake.Calls("CreateUpload") == row.uploads);
  AwaitNoOrphans();
}

TEST_CASE_METHOD(S3ResumeFixture,
                 "s3 resume: an upload that may be neither listed nor aborted is the sweeper's") {
  SendSome();
  fake.Fail(Json::array({Refuse("ListParts", 403)[0], Refuse("AbortUpload", 403)[0]}));
  Connect(fake.options());
  {
    const auto publisher = Make();
    REQUIRE(Begin(*publisher) == absl::OkStatus());
    REQUIRE(publisher->RangeIsFinal({0, 0, kPart}).ok());
    while (Count("s3.recorded") < kSent + 1) std::this_thread::yield();
    publisher->KeepOpen();
  }
  CHECK(fake.State()["uploads"].size() == 2);
  fake.Fail(Json::array());
  CHECK(GoOn() == kParts - 1);  // the later one is gone on with
  CHECK(fake.Calls("CreateUpload") == 2);
  AwaitNoOrphans();
}

TEST_CASE_METHOD(S3ResumeFixture, "s3 resume: without a ledger the file is sent anew") {
  SendSome();
  std::filesystem::remove(Ledger());
  CHECK(GoOn() == kParts);
  while (!sweeper->idle()) std::this_thread::yield();
  CHECK(fake.State()["uploads"].size() == 1);  // of which nobody knows: see server/README.md
}

TEST_CASE_METHOD(S3ResumeFixture,
                 "s3 resume: a damaged ledger is named, and the file is sent anew") {
  SendSome();
  const std::string ledger = Ledger();
  std::string text = ReadText(ledger);
  text[text.find("\"begin\"") + 1] = '\n';
  WriteText(ledger, text);
  CHECK_FALSE(*Make()->WasPublished("", Stored(), {}));
  CHECK(GoOn() == kParts);
  // It stays, for somebody to look at; the other one is swept.
  while (S3Ledger::Find(scratch / "ledgers") != std::vector<std::string>{ledger}) {
    std::this_thread::yield();
  }
  sweeper.reset();
  REQUIRE_FALSE(warnings.empty());
  CHECK_THAT(warnings[0], Catch::Contains(ledger) && Catch::Contains("is no ledger"));
}

TEST_CASE_METHOD(S3ResumeFixture,
                 "s3 resume: an upload whose id was never written down is aborted") {
  REQUIRE(client->CreateUpload({"models", Key()}, "jobs/1", {}).ok());
  {
    auto ledger = S3Ledger::Create(scratch / "ledgers", "1", "models");
    REQUIRE((*ledger)->Begin(Key(), std::time(nullptr)).ok());
  }
  CHECK(GoOn() == kParts);
  AwaitNoOrphans();
}

// The server was killed when the model was there, and no other object.
struct HalfMade : S3ResumeFixture {
  void MakeModel(const Json& rules = Json::array()) {
    fake.Fail(rules);
    const auto publisher = Make();
    REQUIRE(Whole(*publisher) == absl::OkStatus());
    publisher->KeepOpen();
    for (const auto& [path, content] : files) {
      if (path != kModel) {
        REQUIRE(client->DeleteObject({"models", "out/tiny/" + path}, {}).ok());
      }
    }
  }
};

TEST_CASE_METHOD(HalfMade, "s3 resume: an object that was made is not made again") {
  struct Row {
    const char* what;
    Json rules;
    std::function<void(HalfMade&)> between;
    int again;
  };
  const auto nothing = [](HalfMade&) {};
  const auto cut = [](HalfMade& f) { f.WithoutLines("\"made\""); };  // killed before that line
  const Json own = Rule("*", "own_etag");
  const Json none = Rule("*", "no_etag");
  const Row row = GENERATE_COPY(
      Row{"as it was", Json::array(), nothing, 0}, Row{"not written down", Json::array(), cut, 0},
      Row{"ETags that are no MD5 sums", own, nothing, 0},
      Row{"such, not written down", own, cut, kParts}, Row{"no ETags", none, nothing, kParts},
      Row{"other bytes that are staged", Json::array(),
          [](HalfMade& f) { f.files[kModel][7] ^= 1; }, kParts},
      Row{"another object by now", Json::array(),
          [](HalfMade& f) {
            REQUIRE(f.client
                        ->PutObject({"models", f.Key()}, s3::BodyOf("x"), s3::Existing::kReplace,
                                    "jobs/1", {})
                        .ok());
          },
          kParts},
      Row{"no object any more", Json::array(),
          [](HalfMade& f) {
            REQUIRE(f.client->DeleteObject({"models", f.Key()}, {}).ok());
          },
          kParts});
  INFO(row.what);
  MakeModel(row.rules);
  row.between(*this);
  const int completed = fake.Calls("CompleteUpload");
  CHECK(GoOn() == row.again);
  CHECK(fake.Calls("CompleteUpload") == completed + (row.again > 0 ? 1 : 0));
  AwaitNoOrphans();
}

TEST_CASE_METHOD(HalfMade, "s3 resume: what was made goes with a job that ends without an output") {
  MakeModel();
  bool stays = false;
  SECTION("it is given up") { REQUIRE(Make()->Abandon() == absl::OkStatus()); }
  SECTION("it is given up by a server without keys, and another one has them") {
    S3Publisher keyless(target, {absl::FailedPreconditionError("no keys"),
                                 nullptr,
                                 nullptr,
                                 scratch / "ledgers",
                                 transfer,
                                 {}});
    REQUIRE(keyless.Abandon() == absl::OkStatus());
    REQUIRE(keyless.Discard() == absl::OkStatus());
    sweeper->Take(Ledger());
  }
  SECTION("it is given up while the disk is full, and once more") {
    auto publisher = Make();
    {
      const FileSizeLimit full(std::filesystem::file_size(Ledger()));
      CHECK_FALSE(publisher->Abandon().ok());
      REQUIRE(publisher->Discard() == absl::OkStatus());
    }
    CHECK(std::filesystem::exists(Ledger()));
    CHECK(S3Ledger::Read(Ledger())->objects.size() == files.size());
    REQUIRE(Make()->Abandon() == absl::OkStatus());
  }
  SECTION("another attempt fails") { REQUIRE(Begin(*Make()) == absl::OkStatus()); }
  SECTION("it may have replaced something") {
    target.overwrite = stays = true;
    REQUIRE(Make()->Abandon() == absl::OkStatus());
  }
  SECTION("it was published after all") {
    stays = true;
    REQUIRE(Make()->Discard() == absl::OkStatus());
  }
  AwaitNoOrphans();
  CHECK(fake.State()["objects"].size() == (stays ? 1 : 0));
}

TEST_CASE_METHOD(HalfMade, "s3 resume: killed before it was completed, it is completed") {
  MakeModel();
  // As if the request had not arrived: all parts are there, and no object.
  const auto id = client->CreateUpload({"models", Key()}, "jobs/1", {});
  for (int i = 0; i < kParts; ++i) {
    const s3::Body body = s3::BodyOf(files[kModel].substr(static_cast<size_t>(i) * kPart, kPart));
    REQUIRE(client->UploadPart({"models", Key()}, *id, i + 1, body, {}).ok());
  }
  REQUIRE(client->DeleteObject({"models", Key()}, {}).ok());
  std::string text = ReadText(Ledger());
  const size_t at = text.find("upload/1+=");
  REQUIRE(at != std::string::npos);
  text.replace(at, std::string("upload/1+=").size(), *id);
  WriteText(Ledger(), text);
  WithoutLines("\"made\"");
  CHECK(GoOn() == 0);
  CHECK(Count("s3.kept") == kParts);
  AwaitNoOrphans();
}

TEST_CASE_METHOD(S3ResumeFixture, "s3 resume: what was made before a stop stays for who goes on") {
  Json rules = Rule("PutObject", "stall");
  rules[0]["seconds"] = 3600;
  rules[0]["skip"] = 1;
  fake.Fail(rules);
  {
    const auto publisher = Make();
    REQUIRE(Begin(*publisher) == absl::OkStatus());
    REQUIRE(AllIsFinal(*publisher) == absl::OkStatus());
    std::stop_source stop;
    const std::jthread stopper([&] {
      while (fake.Calls("PutObject") < 2) std::this_thread::yield();
      stop.request_stop();
    });
    CHECK(absl::IsCancelled(publisher->Publish(Stored(), stop.get_token())));
    publisher->KeepOpen();
  }
  CHECK(sweeper->idle());
  REQUIRE(fake.State()["objects"].contains("models/" + Key()));
  fake.Fail(Json::array());
  CHECK(GoOn() == 0);
  CHECK(fake.Calls("CompleteUpload") == 1);
  AwaitNoOrphans();
}

TEST_CASE_METHOD(S3ResumeFixture,
                 "s3 resume: what was made before an error is removed, kept or not") {
  Json rules = Refuse("PutObject", 503);
  rules[0]["skip"] = 1;
  rules.push_back(Refuse("DeleteObject", 503)[0]);
  fake.Fail(rules);
  s3::Options options = fake.options();
  options.retry.patience = kSoon;
  Connect(options);
  auto publisher = Make();
  CHECK_THAT(Whole(*publisher), IsStatus(Code::kUnavailable, {"503"}));
  CHECK_FALSE(fake.State()["objects"].empty());
  publisher->KeepOpen();
  publisher.reset();
  fake.Fail(Json::array());
  AwaitNoOrphans();
  CheckVisible(false);
}

TEST_CASE_METHOD(S3ResumeFixture, "s3 resume: what a job no longer wants is aborted") {
  SendSome();
  CHECK(fake.State()["uploads"].size() == 1);
  if (GENERATE(true, false)) {
    REQUIRE(Make()->Abandon() == absl::OkStatus());
    CHECK(std::filesystem::exists(StagingPath(target)));
  } else {
    REQUIRE(Make()->Discard() == absl::OkStatus());
    CHECK_FALSE(std::filesystem::exists(StagingPath(target)));
  }
  AwaitNoOrphans();
}

TEST_CASE_METHOD(S3ResumeFixture,
                 "s3 resume: files that are no more part of the output are aborted") {
  SendSome();
  files.erase(kModel);
  Connect(fake.options());
  {
    const auto publisher = Make();
    REQUIRE(Begin(*publisher) == absl::OkStatus());
    REQUIRE(publisher->Publish(Stored(), {}) == absl::OkStatus());
  }
  AwaitNoOrphans();
}

}  // namespace
}  // namespace seedlm::server
