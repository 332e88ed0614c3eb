// The client against a server that does what it is told to do wrong.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <thread>

#include "server/storage/s3/client.h"
#include "tests/server/fake_s3.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server::s3 {
namespace {

using Json = nlohmann::json;

constexpr char kOwner[] = "jobs/1";
const ObjectName kObject = {"models", "a b/model+1.safetensors"};
const std::string kStored = "models/a b/model+1.safetensors";

// Bytes that repeat in no short period.
std::string Data(size_t size) {
  std::string data(size, '\0');
  uint32_t state = 7;
  for (char& byte : data) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return data;
}

const std::string& TwoParts() {
  static const std::string data = Data(kMinPartBytes + 12345);
  return data;
}

// The whole life of an upload of TwoParts().
absl::Status Upload(Client& client, Existing existing = Existing::kKeep,
                    const std::string& owner = kOwner) {
  const auto id = client.CreateUpload(kObject, owner, {});
  if (!id.ok()) return id.status();
  std::vector<PartTag> parts;
  for (int number : {1, 2}) {
    const size_t begin = number == 1 ? 0 : kMinPartBytes;
    const auto part = client.UploadPart(kObject, *id, number,
                                        BodyOf(TwoParts().substr(begin, kMinPartBytes)), {});
    if (!part.ok()) return part.status();
    parts.push_back(*part);
  }
  return client.CompleteUpload(kObject, *id, parts, existing, owner, {}).status();
}

TEST_CASE("s3: every request is reported, one that is repeated each time") {
  FakeS3 fake;
  // On a connection that was used before libcurl would repeat what was cut by itself.
  fake.Fail(Json::array({{{"operation", "PutObject"}, {"action", "cut"}},
                         {{"operation", "PutObject"}, {"action", "status"}, {"status", 503}}}));
  std::vector<std::pair<std::string, int>> seen;
  int64_t sent = 0;
  const auto client = Client::Create(fake.options(), {.on_attempt = [&](const Attempt& attempt) {
                                       seen.emplace_back(attempt.operation, attempt.status);
                                       sent += attempt.sent_bytes;
                                       CHECK(attempt.seconds > 0);
                                     }});
  REQUIRE(client.ok());
  const Body body = BodyOf("abc");
  CHECK((*client)->PutObject(kObject, body, Existing::kReplace, kOwner, {}) == absl::OkStatus());
  CHECK((*client)->HeadObject({"models", "none"}, {}).ok());
  CHECK(seen == std::vector<std::pair<std::string, int>>{
                    {"PutObject", 0}, {"PutObject", 503}, {"PutObject", 200}, {"HeadObject", 404}});
  CHECK(sent == 6);  // of the two that were answered
}

TEST_CASE("s3: an upload in parts becomes one object, and goes by its owner") {
  FakeS3 fake;
  const auto client = fake.Connect();
  REQUIRE(Upload(*client) == absl::OkStatus());
  CHECK(fake.Sha256Of(kStored) == Sha256Hex(TwoParts()));
  const auto info = client->HeadObject(kObject, {});
  REQUIRE(info.status() == absl::OkStatus());
  REQUIRE(info->has_value());
  CHECK((*info)->size == static_cast<int64_t>(TwoParts().size()));
  CHECK((*info)->owner == kOwner);
  const auto range = client->GetObject(kObject, 1000, 50, {});
  REQUIRE(range.status() == absl::OkStatus());
  CHECK(*range == TwoParts().substr(1000, 50));
  // Another owner's object is kept; the same one's may be made again.
  const absl::Status kept = Upload(*client, Existing::kKeep, "jobs/2");
  CHECK_THAT(kept, IsStatus(absl::StatusCode::kAlreadyExists, {"model+1.safetensors"}));
  CHECK(ReasonOf(kept) == "OUTPUT_EXISTS");
  CHECK(Upload(*client) == absl::OkStatus());
  CHECK(Upload(*client, Existing::kReplace, "jobs/2") == absl::OkStatus());
  CHECK(fake.State()["objects"][kStored]["owner"] == "jobs/2");
}

TEST_CASE("s3: small objects, lists, deletion") {
  FakeS3 fake;
  const auto client = fake.Connect();
  CHECK(*client->FirstKey("models", "", {}) == "");
  REQUIRE(client->PutObject({"models", "p/config.json"}, BodyOf("{}"), Existing::kKeep, kOwner, {})
              .ok());
  CHECK(*client->FirstKey("models", "p/", {}) == "p/config.json");
  CHECK(*client->FirstKey("models", "q/", {}) == "");
  const absl::Status again =
      client->PutObject({"models", "p/config.json"}, BodyOf("x"), Existing::kKeep, "jobs/2", {});
  CHECK_THAT(again, IsStatus(absl::StatusCode::kAlreadyExists, {"p/config.json"}));
  CHECK(*client->GetObject({"models", "p/config.json"}, 0, 100, {}) == "{}");
  CHECK(client->DeleteObject({"models", "p/config.json"}, {}).ok());
  CHECK(client->DeleteObject({"models", "p/config.json"}, {}).ok());
  CHECK_FALSE((*client->HeadObject({"models", "p/config.json"}, {})).has_value());
}

TEST_CASE("s3: open uploads are found, page by page, and aborted") {
  FakeS3 fake;
  const auto client = fake.Connect();
  for (int i = 0; i < 5; ++i) {
    REQUIRE(client->CreateUpload({"models", "p/" + std::to_string(i)}, kOwner, {}).ok());
  }
  REQUIRE(client->CreateUpload({"models", "q/0"}, kOwner, {}).ok());
  const auto open = client->ListUploads("models", "p/", {});
  REQUIRE(open.status() == absl::OkStatus());
  REQUIRE(open->size() == 5);
  for (const OpenUpload& upload : *open) {
    CHECK(client->AbortUpload({"models", upload.key}, upload.upload_id, {}).ok());
    CHECK(client->AbortUpload({"models", upload.key}, upload.upload_id, {}).ok());  // is gone: fine
  }
  REQUIRE(fake.State()["uploads"].size() == 1);
  CHECK(fake.State()["uploads"][0]["key"] == "q/0");
}

TEST_CASE("s3: the parts of an upload, page by page") {
  FakeS3 fake;
  const auto client = fake.Connect();
  const auto id = client->CreateUpload(kObject, kOwner, {});
  REQUIRE(client->ListParts(kObject, *id, {})->empty());
  for (const int number : {7, 1, 10'000, 2, 4}) {
    const std::string bytes(static_cast<size_t>(number), 'x');
    REQUIRE(client->UploadPart(kObject, *id, number, BodyOf(bytes), {}).ok());
  }
  const auto parts = client->ListParts(kObject, *id, {});
  REQUIRE(parts.status() == absl::OkStatus());
  std::vector<int> numbers;
  for (const ListedPart& part : *parts) {
    numbers.push_back(part.number);
    CHECK(part.size == part.number);
    CHECK_FALSE(part.etag.empty());
  }
  CHECK(numbers == std::vector<int>{1, 2, 4, 7, 10'000});
  REQUIRE(client->AbortUpload(kObject, *id, {}).ok());
  CHECK_THAT(client->ListParts(kObject, *id, {}).status(),
             IsStatus(absl::StatusCode::kNotFound, {ToUri(kObject), "NoSuchUpload"}));
}

TEST_CASE("s3: what passes is tried again, and the bytes are whole") {
  const Json fault = GENERATE(
      Json{{"operation", "UploadPart"}, {"action", "status"}, {"status", 503}, {"times", 3}},
      Json{{"operation", "UploadPart"}, {"action", "status"}, {"status", 429}},
      Json{{"operation", "UploadPart"}, {"action", "cut"}, {"times", 2}},
      Json{{"operation", "UploadPart"}, {"action", "lose_answer"}},
      Json{{"operation", "UploadPart"}, {"action", "stall"}, {"seconds", 2.5}},
      Json{{"operation", "UploadPart"},
           {"action", "status"},
           {"status", 400},
           {"code", "RequestTimeout"}},
      Json{{"operation", "CreateUpload"}, {"action", "status"}, {"status", 500}},
      Json{{"operation", "CompleteUpload"}, {"action", "late_error"}, {"code", "InternalError"}},
      Json{{"operation", "CompleteUpload"}, {"action", "late_error"}, {"code", "SlowDown"}},
      Json{{"operation", "CompleteUpload"}, {"action", "lose_answer"}},
      Json{{"operation", "CompleteUpload"}, {"action", "status"}, {"status", 504}},
      Json{{"operation", "HeadObject"}, {"action", "status"}, {"status", 502}},
      Json{{"operation", "*"}, {"action", "no_etag"}, {"times", 100}},
      // A server that does not know the condition.
      Json{{"operation", "CompleteUpload"},
           {"action", "status"},
           {"status", 501},
           {"code", "NotImplemented"},
           {"if_header", "if-none-match"},
           {"times", 100}});
  INFO(fault.dump());
  FakeS3 fake;
  Options options = fake.options();
  options.stall_timeout = std::chrono::seconds(1);
  const auto client = FakeS3::Connect(options);
  fake.Fail(Json::array({fault}));
  REQUIRE(Upload(*client) == absl::OkStatus());
  CHECK(fake.Sha256Of(kStored) == Sha256Hex(TwoParts()));
  CHECK(fake.State()["uploads"].empty());
  CHECK(fake.State()["fired"] >= 1);  // it did go wrong
}

TEST_CASE("s3: a put whose answer was lost is not taken for somebody else's object") {
  FakeS3 fake;
  const auto client = fake.Connect();
  fake.Fail(Json::array({Json{{"operation", "PutObject"}, {"action", "lose_answer"}}}));
  CHECK(client->PutObject(kObject, BodyOf("{}"), Existing::kKeep, kOwner, {}) == absl::OkStatus());
}

TEST_CASE("s3: an object of an earlier attempt is not what an upload made that is gone") {
  FakeS3 fake;
  const auto client = fake.Connect();
  const auto existing = GENERATE(Existing::kKeep, Existing::kReplace);
  REQUIRE(client->PutObject(kObject, BodyOf("older"), Existing::kKeep, kOwner, {}).ok());
  const auto id = client->CreateUpload(kObject, kOwner, {});
  const auto part = client->UploadPart(kObject, *id, 1, BodyOf("newer"), {});
  REQUIRE(part.ok());
  REQUIRE(client->AbortUpload(kObject, *id, {}).ok());
  CHECK(absl::IsNotFound(
      client->CompleteUpload(kObject, *id, {*part}, existing, kOwner, {}).status()));
}

TEST_CASE("s3: a body is not read to its end for a request that is not wanted any more") {
  FakeS3 fake;
  const auto client = fake.Connect();
  std::stop_source stop;
  int reads = 0;
  const Body body{int64_t{1} << 40, [&](int64_t, std::span<char>) {
                    if (++reads == 2) stop.request_stop();
                    return absl::OkStatus();
                  }};
  CHECK(absl::IsCancelled(client->UploadPart(kObject, "id", 1, body, stop.get_token()).status()));
  CHECK(reads == 2);
}

TEST_CASE("s3: what does not pass is not tried again, and is named") {
  struct Row {
    Json fault;
    absl::StatusCode code;
    const char* words;
  };
  const Row row =
      GENERATE(Row{{{"operation", "UploadPart"},
                    {"action", "status"},
                    {"status", 403},
                    {"code", "AccessDenied"}},
                   absl::StatusCode::kPermissionDenied,
                   "AccessDenied"},
               Row{{{"operation", "UploadPart"},
                    {"action", "status"},
                    {"status", 400},
                    {"code", "BadDigest"}},
                   absl::StatusCode::kFailedPrecondition,
                   "BadDigest"},
               Row{{{"operation", "CompleteUpload"}, {"action", "status"}, {"status", 412}},
                   absl::StatusCode::kAlreadyExists,
                   "already exists"},
               Row{{{"operation", "CompleteUpload"},
                    {"action", "status"},
                    {"status", 404},
                    {"code", "NoSuchUpload"}},
                   absl::StatusCode::kNotFound,
                   "NoSuchUpload"});
  FakeS3 fake;
  const auto client = fake.Connect();
  fake.Fail(Json::array({row.fault}));
  const std::string operation = row.fault["operation"];
  CHECK_THAT(Upload(*client), IsStatus(row.code, {ToUri(kObject), row.words}));
  CHECK(fake.Calls(operation) == 1);
  CHECK(fake.State()["objects"].empty());
}

// Pauses take no time, and are counted.
struct PausedClock {
  Client::Hooks hooks() {
    return {.now = [this] { return now; },
            .pause =
                [this](std::chrono::milliseconds pause, const std::stop_token&) {
                  now += pause;
                  longest = std::max(longest, pause);
                  if (on_pause) on_pause();
                  return true;
                }};
  }
  std::chrono::steady_clock::time_point begin;
  std::chrono::steady_clock::time_point now = begin;
  std::chrono::milliseconds longest{0};
  std::function<void()> on_pause;
};

TEST_CASE("s3: an outage of nine minutes is outlasted, one of more is not, by default") {
  FakeS3 fake;
  Options options = fake.options();
  options.retry = RetryOptions{};
  PausedClock clock;
  const auto client = Client::Create(options, clock.hooks());
  REQUIRE(client.ok());
  fake.Fail(Json::array({Json{{"action", "status"}, {"status", 503}, {"times", 1'000'000}}}));
  const auto passed = [&clock] { return clock.now - clock.begin; };
  SECTION("it ends") {
    clock.on_pause = [&] {
      if (passed() >= std::chrono::minutes(9)) fake.Fail(Json::array());
    };
    CHECK((*client)->HeadObject(kObject, {}).status() == absl::OkStatus());
    CHECK(passed() >= std::chrono::minutes(9));
  }
  SECTION("it does not") {
    CHECK(absl::IsUnavailable((*client)->HeadObject(kObject, {}).status()));
    CHECK(passed() == std::chrono::minutes(10));
  }
  CHECK(clock.longest <= std::chrono::seconds(20));
  CHECK(clock.longest >= std::chrono::seconds(10));  // of some sixty
}

TEST_CASE("s3: a server that stays away is given up, with the cause and the count") {
  FakeS3 fake;
  Options options = fake.options();
  options.retry.patience = std::chrono::seconds(10);
  PausedClock clock;
  Client::Hooks hooks = clock.hooks();
  hooks.uniform = [] { return 0.999; };
  options.retry.first_delay = options.retry.max_delay = std::chrono::seconds(8);
  const auto client = *Client::Create(options, hooks);
  fake.Fail(Json::array(
      {Json{{"action", "status"}, {"status", 503}, {"code", "SlowDown"}, {"times", 99}}}));
  const absl::Status slow = client->CreateUpload(kObject, kOwner, {}).status();
  CHECK_THAT(slow, IsStatus(absl::StatusCode::kUnavailable, {"SlowDown", "tried 3 times"}));
  CHECK(ReasonOf(slow) == "S3_UNAVAILABLE");
  CHECK(fake.Calls("CreateUpload") == 3);
  options.endpoint = "http://127.0.0.1:1";
  const absl::Status gone =
      (*Client::Create(options, hooks))->CreateUpload(kObject, kOwner, {}).status();
  CHECK_THAT(gone, IsStatus(absl::StatusCode::kUnavailable, {"127.0.0.1:1", "tried 3 times"}));
}

TEST_CASE("s3: Retry-After is waited for") {
  FakeS3 fake;
  const auto client = fake.Connect();
  fake.Fail(Json::array({Json{
      {"action", "status"}, {"status", 503}, {"retry_after", 1}, {"operation", "HeadObject"}}}));
  const auto start = std::chrono::steady_clock::now();
  CHECK(client->HeadObject(kObject, {}).ok());
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(990));
}

TEST_CASE("s3: wrong keys, a wrong region, a missing bucket") {
  FakeS3 fake;
  Options options = fake.options();
  options.credentials.secret_access_key = "wrong";
  CHECK_THAT(FakeS3::Connect(options)->FirstKey("models", "", {}).status(),
             IsStatus(absl::StatusCode::kPermissionDenied,
                      {"s3://models", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"}));
  Options of_file = options;
  of_file.credentials_file = "keys";
  CHECK_THAT(FakeS3::Connect(of_file)->FirstKey("models", "", {}).status(),
             IsStatus(absl::StatusCode::kPermissionDenied,
                      {"aws_secret_access_key in the file of the server's s3-credentials"}));
  options.credentials.access_key_id = "nobody";
  CHECK_THAT(FakeS3::Connect(options)->FirstKey("models", "", {}).status(),
             IsStatus(absl::StatusCode::kPermissionDenied, {"InvalidAccessKeyId"}));
  options = fake.options();
  options.region = "eu-west-1";
  CHECK_THAT(FakeS3::Connect(options)->FirstKey("models", "", {}).status(),
             IsStatus(absl::StatusCode::kFailedPrecondition, {"AWS_REGION"}));
  const absl::Status missing = fake.Connect()->FirstKey("nowhere", "", {}).status();
  CHECK_THAT(missing, IsStatus(absl::StatusCode::kNotFound, {"s3://nowhere", "NoSuchBucket"}));
  CHECK(ReasonOf(missing) == "S3_BUCKET_MISSING");
}

TEST_CASE("s3: only the endpoint is asked, whatever it answers") {
  FakeS3 fake;
  FakeS3 elsewhere;
  const auto client = fake.Connect();
  fake.Fail(Json::array({Json{{"action", "status"},
                              {"status", 307},
                              {"code", "TemporaryRedirect"},
                              {"location", elsewhere.options().endpoint + "/models/x"}}}));
  CHECK_THAT(client->FirstKey("models", "", {}).status(),
             IsStatus(absl::StatusCode::kFailedPrecondition, {"307"}));
  CHECK(elsewhere.State()["hosts"].empty());
}

TEST_CASE("s3: a file that cannot be read is not the server's fault") {
  FakeS3 fake;
  const auto client = fake.Connect();
  const Body body{100, [](int64_t, std::span<char>) { return absl::InternalError("disk gone"); }};
  CHECK_THAT(client->PutObject(kObject, body, Existing::kReplace, kOwner, {}),
             IsStatus(absl::StatusCode::kInternal, {"disk gone"}));
  CHECK(fake.Calls("PutObject") == 0);
}

TEST_CASE("s3: stops soon, in a pause and in a transfer") {
  FakeS3 fake;
  Options options = fake.options();
  options.retry.first_delay = options.retry.max_delay = std::chrono::seconds(60);
  const auto client = FakeS3::Connect(options);
  fake.Fail(Json::array({GENERATE(Json{{"action", "status"}, {"status", 503}},
                                  Json{{"action", "stall"}, {"seconds", 20}})}));
  std::stop_source stop;
  std::jthread later([&] {
    while (fake.Calls("HeadObject") == 0) std::this_thread::yield();
    stop.request_stop();
  });
  CHECK(absl::IsCancelled(client->HeadObject(kObject, stop.get_token()).status()));
}

TEST_CASE("s3: many threads share a client") {
  FakeS3 fake;
  const auto client = fake.Connect();
  fake.Fail(Json::array({Json{{"action", "status"}, {"status", 503}, {"times", 10}}}));
  std::vector<absl::Status> results(8);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < results.size(); ++i) {
      threads.emplace_back([&, i] {
        for (int n = 0; n < 4 && results[i].ok(); ++n) {
          const std::string name = std::to_string(i) + "/" + std::to_string(n);
          results[i] =
              client->PutObject({"models", name}, BodyOf(name), Existing::kKeep, kOwner, {});
        }
      });
    }
  }
  for (const absl::Status& result : results) CHECK(result == absl::OkStatus());
  CHECK(fake.State()["objects"].size() == 32);
}

}  // namespace
}  // namespace seedlm::server::s3
