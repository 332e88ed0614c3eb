// What happens to jobs when their server ends, gently or not.
#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "server/storage/sink_target.h"
#include "tests/server/engine_fixture.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

struct RestartFixture : EngineFixture {
  RestartFixture() {
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 640, 64, 1u)});
    fake->before = [this](const backend::WeightRows&, std::stop_token stop) {
      started = true;
      while (block && !stop.stop_requested()) std::this_thread::yield();
      return stop.stop_requested() ? absl::CancelledError("stopped") : absl::OkStatus();
    };
  }
  ~RestartFixture() { engine.reset(); }

  // A job in the middle of its first shards.
  std::string CreateRunning(const SchedulerOptions& options) {
    block = true;
    started = false;
    Start(options);
    const std::string name = Create(Request("in.safetensors", "o"));
    while (!started) std::this_thread::yield();
    return name;
  }

  std::atomic<bool> block = false;
  std::atomic<bool> started = false;
};

TEST_CASE_METHOD(RestartFixture, "a running job is run again by the next server") {
  const std::string name = CreateRunning({2, 64 * 64, false});
  const std::string waiting = Create(Request("in.safetensors", "o2"));
  engine->scheduler->Shutdown();
  CHECK(engine->service->Get(name)->state == JobState::kRunning);
  CHECK(Outputs().empty());

  block = false;
  Start({2, 64 * 64, false});
  JobRecord job = engine->WaitForEnd(name);
  CHECK(job.state == JobState::kSucceeded);
  CHECK(job.attempt == 2);
  job = engine->WaitForEnd(waiting);
  CHECK(job.state == JobState::kSucceeded);
  CHECK(job.attempt == 1);  // it had not begun
  CHECK(Outputs() == Names{"o", "o2"});
  // The whole story, without a gap.
  std::vector<JobState> states;
  const auto events = engine->service->ReadEvents(name, {0, 100});
  REQUIRE(events.ok());
  for (const JobEvent& event : events->events) {
    if (const auto* change = std::get_if<StateChange>(&event.body)) states.push_back(change->state);
  }
  CHECK(states == std::vector<JobState>{JobState::kQueued, JobState::kRunning, JobState::kQueued,
                                        JobState::kRunning, JobState::kSucceeded});
}

TEST_CASE_METHOD(RestartFixture, "an embedded server cancels what it leaves") {
  const std::string name = CreateRunning({2, 64 * 64, true});
  engine->scheduler->Shutdown();
  CHECK(engine->service->Get(name)->state == JobState::kCancelled);
  CHECK(Outputs().empty());
  engine->scheduler->Shutdown();  // idempotent
}

TEST_CASE_METHOD(RestartFixture,
                 "a server that is killed leaves files, the next one removes them") {
  Compose({1, 64 * 64, false});
  // As a killed server leaves them: the job RUNNING, its staging directory there.
  JobRecord record;
  record.name = "jobs/killed";
  record.request = Request("in.safetensors", "o");
  REQUIRE(engine->store->Insert(record, {}).ok());
  REQUIRE(engine->store->Update("jobs/killed", {JobState::kRunning, {}, {}, {}}).ok());
  const SinkTarget target{directory / "out/o", false, false, false, "killed"};
  WriteText(StagingPath(target) + "/.seedlm-1.tmp", "half");

  fs::remove(directory / "in.safetensors");  // so the second attempt fails before its own sink
  REQUIRE(engine->scheduler->Start().ok());
  const JobRecord job = engine->WaitForEnd("jobs/killed");
  CHECK(job.state == JobState::kFailed);
  CHECK(job.attempt == 2);
  CHECK(Outputs().empty());
}

TEST_CASE_METHOD(RestartFixture, "a managed job killed after its last rename runs again") {
  Compose({1, 64 * 64, false});
  JobRecord record;
  record.name = "jobs/killed";
  record.request = Request("in.safetensors", "o");
  record.request.destination = {true, "", false};
  REQUIRE(engine->store->Insert(record, {}).ok());
  REQUIRE(engine->store->Update("jobs/killed", {JobState::kRunning, {}, {}, {}}).ok());
  WriteText(engine->artifacts.ResultPath("killed") + "/in.safetensors", "as good as done");
  REQUIRE(engine->scheduler->Start().ok());
  CHECK(engine->WaitForEnd("jobs/killed").state == JobState::kSucceeded);
  CHECK(ReadText(engine->artifacts.ResultPath("killed") + "/in.safetensors") != "as good as done");
}

TEST_CASE_METHOD(RestartFixture, "a server that is stopping takes no job") {
  Start({1, 64 * 64, false});
  engine->scheduler->Shutdown();
  const absl::Status status =
      engine->service->Create(Request("in.safetensors", "o"), "", false).status();
  CHECK_THAT(status, IsStatus(absl::StatusCode::kUnavailable, {"stopping"}));
  CHECK(engine->service->List({})->jobs.empty());
}

}  // namespace
}  // namespace seedlm::server
