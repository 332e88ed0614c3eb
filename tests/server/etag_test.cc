// Calls with an etag, when the job moves on after they have looked at it.
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "server/errors/reason.h"
#include "tests/server/flaky_job_store.h"
#include "tests/server/gated_fixture.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

// Something happens when a job has been read, once.
using Meanwhile = std::shared_ptr<std::function<void()>>;

class InterruptedStore : public FlakyJobStore {
 public:
  InterruptedStore(std::unique_ptr<JobStore> store, Meanwhile meanwhile)
      : FlakyJobStore(std::move(store), std::make_shared<std::atomic<int>>(0)),
        meanwhile_(std::move(meanwhile)) {}

  absl::StatusOr<JobRecord> Get(std::string_view name) override {
    absl::StatusOr<JobRecord> job = FlakyJobStore::Get(name);
    if (const auto happens = std::exchange(*meanwhile_, nullptr)) happens();
    return job;
  }

 private:
  const Meanwhile meanwhile_;
};

// One worker, which a first job holds while a second one waits.
struct EtagFixture : GatedFixture {
  EtagFixture() {
    wrap_store = [this](std::unique_ptr<JobStore> store) {
      return std::make_unique<InterruptedStore>(std::move(store), meanwhile);
    };
    Start({.threads = 1});
    first = Create(Request("in.safetensors", "first.safetensors"));
    gate.WaitForShards(1);
    second = Create(Request("in.safetensors", "second.safetensors"));
  }
  ~EtagFixture() { engine.reset(); }

  std::string EtagOf(const std::string& name) { return engine->store->Get(name)->etag; }
  void BeginSecond() {
    REQUIRE(engine->service->Cancel(first).ok());
    gate.WaitForShards(2);
  }

  const Meanwhile meanwhile = std::make_shared<std::function<void()>>();
  std::string first, second;
};

TEST_CASE_METHOD(EtagFixture, "a job that begins after the look is not cancelled by its old etag") {
  const std::string queued = EtagOf(second);
  *meanwhile = [this] { BeginSecond(); };
  const absl::Status status = engine->service->Cancel(second, queued).status();
  CHECK_THAT(status, IsStatus(Code::kAborted, {second, "RUNNING", "etag"}));
  CHECK(ReasonOf(status) == "ETAG_MISMATCH");
  gate.Open();
  CHECK(engine->WaitForEnd(second).state == JobState::kSucceeded);
}

TEST_CASE_METHOD(EtagFixture,
                 "a job that begins after the look is cancelled where any etag will do") {
  *meanwhile = [this] { BeginSecond(); };
  REQUIRE(engine->service->Cancel(second).ok());
  CHECK(engine->WaitForEnd(second).state == JobState::kCancelled);
}

TEST_CASE_METHOD(EtagFixture, "a job that ends after the look is told to who gave its old etag") {
  const std::string running = EtagOf(first);
  *meanwhile = [this] {
    gate.Open();
    REQUIRE(engine->WaitForEnd(first).state == JobState::kSucceeded);
  };
  const absl::Status status = engine->service->Cancel(first, running).status();
  CHECK_THAT(status, IsStatus(Code::kAborted, {first, "SUCCEEDED", "etag"}));
}

TEST_CASE_METHOD(EtagFixture,
                 "a job that is resumed after the look is not touched by its old etag") {
  REQUIRE(engine->service->Cancel(second).ok());
  const std::string cancelled = engine->WaitForEnd(second).etag;
  const auto resume = [this] { REQUIRE(engine->service->Resume(second).ok()); };
  *meanwhile = resume;
  const absl::Status again = engine->service->Resume(second, cancelled).status();
  CHECK_THAT(again, IsStatus(Code::kAborted, {second, "QUEUED", "etag"}));
  CHECK(engine->store->Get(second)->attempt == 2);

  REQUIRE(engine->service->Cancel(second).ok());
  const std::string ended = engine->WaitForEnd(second).etag;
  *meanwhile = resume;
  CHECK_THAT(engine->service->Delete(second, ended), IsStatus(Code::kAborted, {second, "etag"}));
  CHECK(engine->store->Get(second)->state == JobState::kQueued);
}

}  // namespace
}  // namespace seedlm::server
