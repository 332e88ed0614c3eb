// Ledgers that cannot be swept now hold up none that can.
#include "server/storage/s3_sweeper.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "server/storage/s3_ledger.h"
#include "tests/server/fake_s3.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

TEST_CASE("sweeper: a ledger that is none does not make the others wait for its next turn") {
  const FakeS3 fake;
  const TemporaryDirectory scratch;
  const auto client = fake.Connect();
  WriteText(scratch / "0.0.ledger", "garbage\n");
  std::vector<std::string> sound;
  for (const char* name : {"1", "2"}) {
    auto ledger = S3Ledger::Create(scratch.path(), name, "models");
    REQUIRE(ledger.ok());
    const std::string key = std::string("out/") + name;
    const auto id = client->CreateUpload({"models", key}, "jobs/1", {});
    REQUIRE((*ledger)->Begin(key, std::time(nullptr)).ok());
    REQUIRE((*ledger)->Opened(key, *id, 77, s3::kMinPartBytes).ok());
    sound.push_back((*ledger)->path());
  }
  S3Sweeper sweeper(
      *client, [](const std::string&) {}, std::chrono::hours(1));
  const auto await_uploads = [&fake](size_t count) {
    for (int i = 0; i < 2000 && fake.State()["uploads"].size() != count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return fake.State()["uploads"].size() == count;
  };
  sweeper.Take(scratch / "0.0.ledger");
  sweeper.Take(sound[0]);
  CHECK(await_uploads(1));
  // One that comes while the sweeper waits.
  sweeper.Take(sound[1]);
  CHECK(await_uploads(0));
  CHECK_FALSE(sweeper.idle());
}

TEST_CASE("sweeper: a ledger can be had back, but not while it is swept") {
  const FakeS3 fake;
  const TemporaryDirectory scratch;
  const auto client = fake.Connect();
  auto ledger = S3Ledger::Create(scratch.path(), "1", "models");
  const auto id = client->CreateUpload({"models", "out/1"}, "jobs/1", {});
  REQUIRE((*ledger)->Begin("out/1", std::time(nullptr)).ok());
  REQUIRE((*ledger)->Opened("out/1", *id, 77, s3::kMinPartBytes).ok());
  const auto fails = [&fake](const char* action) {
    fake.Fail(nlohmann::json::array({nlohmann::json{{"operation", "AbortUpload"},
                                                    {"action", action},
                                                    {"status", 403},
                                                    {"seconds", 3600},
                                                    {"times", 1000}}}));
  };
  const auto await_calls = [&fake](int count) {
    while (fake.Calls("AbortUpload") < count) std::this_thread::yield();
  };
  {
    S3Sweeper sweeper(
        *client, [](const std::string&) {}, std::chrono::hours(1));
    CHECK(sweeper.GiveBack((*ledger)->path()));  // it was never there
    fails("status");
    sweeper.Take((*ledger)->path());
    await_calls(1);
    while (!sweeper.GiveBack((*ledger)->path())) std::this_thread::yield();  // tried in vain
    CHECK(sweeper.idle());
    fails("stall");
    sweeper.Take((*ledger)->path());
    sweeper.Take((*ledger)->path());
    await_calls(2);
    CHECK_FALSE(sweeper.GiveBack((*ledger)->path()));
  }
  CHECK(fake.State()["uploads"].size() == 1);
}

TEST_CASE("sweeper: what another ledger knows is not one whose id was never written down") {
  const FakeS3 fake;
  const TemporaryDirectory scratch;
  const auto client = fake.Connect();
  auto kept = S3Ledger::Create(scratch.path(), "1", "models");
  const auto id = client->CreateUpload({"models", "out/a"}, "jobs/1", {});
  REQUIRE((*kept)->Begin("out/a", std::time(nullptr)).ok());
  REQUIRE((*kept)->Opened("out/a", *id, 77, s3::kMinPartBytes).ok());
  REQUIRE(client->CreateUpload({"models", "out/a"}, "jobs/2", {}).ok());
  auto swept = S3Ledger::Create(scratch.path(), "2", "models");
  REQUIRE((*swept)->Begin("out/a", std::time(nullptr)).ok());
  REQUIRE(SweepLedger(*client, (*swept)->path(), {}) == absl::OkStatus());
  const nlohmann::json uploads = fake.State()["uploads"];
  REQUIRE(uploads.size() == 1);
  CHECK(uploads[0]["id"] == *id);
  CHECK(S3Ledger::Find(scratch.path()) == std::vector<std::string>{(*kept)->path()});
}

TEST_CASE("sweeper: who waits for a removal may be stopped") {
  const FakeS3 fake;
  const TemporaryDirectory scratch;
  const auto client = fake.Connect();
  auto ledger = S3Ledger::Create(scratch.path(), "1", "models");
  REQUIRE((*ledger)->Undo("out/a", "jobs/1").ok());
  fake.Fail(nlohmann::json::array({nlohmann::json{
      {"operation", "HeadObject"}, {"action", "stall"}, {"seconds", 3600}, {"times", 1000}}}));
  S3Sweeper sweeper(
      *client, [](const std::string&) {}, std::chrono::hours(1));
  CHECK(sweeper.ClaimPrefix({"models", "in"}, {}).ok());
  sweeper.Take((*ledger)->path());
  while (fake.Calls("HeadObject") == 0) std::this_thread::yield();
  std::stop_source stop;
  const std::jthread stopper([&stop] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop.request_stop();
  });
  CHECK(absl::IsCancelled(sweeper.ClaimPrefix({"models", "in"}, stop.get_token()).status()));
}

}  // namespace
}  // namespace seedlm::server
