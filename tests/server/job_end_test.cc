// How jobs end when something is in the way: the store, the source, a server that stops.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "server/errors/reason.h"
#include "tests/server/engine_fixture.h"
#include "tests/server/flaky_job_store.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = absl::StatusCode;
using std::chrono::milliseconds;

struct FlakyFixture : EngineFixture {
  FlakyFixture() {
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
    wrap_store = [this](std::unique_ptr<JobStore> store) {
      return std::make_unique<FlakyJobStore>(std::move(store), failures);
    };
    options.threads = 2;
    options.store_retry = milliseconds(1);
    options.store_patience = milliseconds(50);
  }
  FlakyJobStore::Failures failures = std::make_shared<std::atomic<int>>(0);
  SchedulerOptions options;
};

TEST_CASE_METHOD(FlakyFixture, "an end that the store does not take is stored later") {
  Start(options);
  *failures = GENERATE(1, 5);
  const JobRecord job = Run(Request("in.safetensors", "o"));  // a watcher sees the end
  CHECK(job.state == JobState::kSucceeded);
  CHECK(job.output_files.size() == 1);
  CHECK(*failures < 0);
  AwaitIdle();
}

TEST_CASE_METHOD(FlakyFixture, "a job whose end waits for the store takes no place of another") {
  options.max_active_jobs = 1;
  Start(options);
  *failures = 1 << 30;
  const std::string name = Create(Request("in.safetensors", "o"));
  while (*failures == 1 << 30) std::this_thread::yield();
  CHECK(engine->scheduler->active_jobs() == 1);
  CHECK(engine->service->Create(Request("in.safetensors", "o2"), "", false).ok());
  *failures = 0;
  CHECK(engine->WaitForEnd(name).state == JobState::kSucceeded);
}

TEST_CASE_METHOD(FlakyFixture, "of a failed and of a cancelled job, too") {
  Start(options);
  *failures = 3;
  fake->before = [](auto&&...) { return absl::InternalError("the device fell off"); };
  JobRecord job = Run(Request("in.safetensors", "o"));
  CHECK(job.state == JobState::kFailed);
  CHECK_THAT(job.error.message, Catch::Contains("fell off"));

  *failures = 3;
  std::atomic<bool> started = false;
  fake->before = [&](const backend::WeightRows&, std::stop_token stop) {
    started = true;
    while (!stop.stop_requested()) std::this_thread::yield();
    return absl::CancelledError("stopped");
  };
  const std::string name = Create(Request("in.safetensors", "o"));
  while (!started) std::this_thread::yield();
  CHECK(engine->service->Cancel(name).ok());
  CHECK(engine->service->Cancel(name).ok());  // while its end waits for the store, too
  CHECK(engine->WaitForEnd(name).state == JobState::kCancelled);
}

TEST_CASE_METHOD(FlakyFixture, "a server that stops does not wait for its store for ever") {
  Start(options);
  *failures = 1 << 30;
  const std::string name = Create(Request("in.safetensors", "o"));
  while (*failures == 1 << 30) std::this_thread::yield();
  const auto begin = std::chrono::steady_clock::now();
  engine->scheduler->Shutdown();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
  CHECK(engine->service->Get(name)->state == JobState::kRunning);
  // The next server finds the output there, and knows it for the job's.
  *failures = 0;
  const int shards = fake->shards;
  const std::string bytes = ReadText(directory / "out/o");
  fs::remove(directory / "in.safetensors");  // not even needed
  Start(options);
  const JobRecord job = engine->WaitForEnd(name);
  CHECK(job.state == JobState::kSucceeded);
  CHECK(job.attempt == 2);
  REQUIRE(job.output_files.size() == 1);
  CHECK(job.output_files[0].sha256 == checksum::Sha256OfFile(directory / "out/o").value());
  CHECK(fake->shards == shards);
  CHECK(ReadText(directory / "out/o") == bytes);
}

TEST_CASE_METHOD(EngineFixture, "a source that is truncated while its job runs fails the job") {
  WriteSafetensors(directory / "in.safetensors",
                   {F32Tensor("a.weight", 640, 64, 1u), RawTensor("raw", 1 << 20)});
  WriteSafetensors(directory / "whole.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
  fake->before = [this](auto&&...) {
    if (fake->shards == 3) fs::resize_file(directory / "in.safetensors", 4096);
    return absl::OkStatus();
  };
  Start({2, 64 * 64, false});
  const JobRecord job = Run(Request("in.safetensors", "o"));
  CHECK(job.state == JobState::kFailed);
  CHECK(job.error.code == Code::kFailedPrecondition);
  CHECK_THAT(job.error.message, Catch::Contains("in.safetensors"));
  CHECK_FALSE(fs::exists(directory / "out/o"));
  fake->before = [](auto&&...) { return absl::OkStatus(); };
  CHECK(Run(Request("whole.safetensors", "o")).state == JobState::kSucceeded);  // it lives
}

TEST_CASE_METHOD(EngineFixture, "a job that is cancelled while the server stops is not run again") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 640, 64, 1u)});
  std::atomic<bool> started = false;
  std::atomic<bool> let_go = false;
  fake->before = [&](auto&&...) {  // deaf: takes its time to stop
    started = true;
    while (!let_go) std::this_thread::yield();
    return absl::CancelledError("stopped");
  };
  Start({1, 64 * 64, false});
  const std::string name = Create(Request("in.safetensors", "o"));
  const std::string waiting = Create(Request("in.safetensors", "o2"));
  while (!started) std::this_thread::yield();
  {
    const std::jthread stopper([this] { engine->scheduler->Shutdown(); });
    while (!engine->scheduler->stopping()) std::this_thread::yield();
    CHECK(engine->service->Cancel(name).ok());
    let_go = true;
  }
  CHECK(engine->service->Get(name)->state == JobState::kCancelled);
  // After the workers have gone, too.
  CHECK(engine->service->Get(waiting)->state == JobState::kQueued);
  CHECK(engine->service->Cancel(waiting)->state == JobState::kCancelled);
}

TEST_CASE_METHOD(EngineFixture, "the details of an error are kept with the job") {
  std::vector<float> weights = Gaussian(64 * 64, 1);
  weights[3 * 64 + 5] = std::numeric_limits<float>::infinity();
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 64, 64, weights)});
  Start();
  const JobRecord job = Run(Request("in.safetensors", "o"));
  CHECK(job.error.reason == "WEIGHT_NOT_FINITE");
  const uint64_t offset =
      fs::file_size(directory / "in.safetensors") - (64 * 64 - (3 * 64 + 5)) * sizeof(float);
  const std::map<std::string, std::string> place = {{"file", "in.safetensors"},
                                                    {"tensor", "a.weight"},
                                                    {"row", "3"},
                                                    {"column", "5"},
                                                    {"offset", std::to_string(offset)}};
  CHECK(job.error.details == place);
}

// What the progress of a job says, from its first piece to its end.
struct Seen {
  std::map<JobPhase, double> furthest;
  bool rate_before_shards = false;
};

TEST_CASE_METHOD(EngineFixture, "progress names the phase, and each phase moves") {
  fs::create_directory(directory / "in");
  WriteSafetensors(directory / "in/model.safetensors",
                   {F32Tensor("a.weight", 64, 64, 1u), F32Tensor("b.weight", 64, 64, 2u),
                    RawTensor("raw", 1000)});
  WriteText(directory / "in/tokens.txt", std::string(3 << 20, 't'));
  Start({1, 64 * 8, false});
  Seen seen;
  const auto look = [&](const std::string& name) {
    const std::optional<Progress> progress = engine->events.LiveProgress(name);
    if (!progress.has_value()) return;
    double& furthest = seen.furthest[progress->phase];
    furthest = std::max(furthest, progress->phase_fraction);
    if (progress->shards_done == 0) seen.rate_before_shards |= progress->weights_per_second != 0;
  };
  // One thread, held by another job until this one is watched: nothing is missed.
  std::atomic<bool> watching = false;
  fake->before = [&](auto&&...) {
    while (!watching) std::this_thread::yield();
    return absl::OkStatus();
  };
  const std::string first = Create(Request("in", "first"));
  const std::string name = Create(Request("in", "o"));
  const auto subscription = engine->service->Watch(name, [&] { look(name); });
  watching = true;
  const JobRecord job = engine->WaitForEnd(name);
  REQUIRE(job.state == JobState::kSucceeded);
  CHECK(engine->WaitForEnd(first).state == JobState::kSucceeded);
  AwaitIdle();                                        // nobody looks any more
  CHECK(seen.furthest[JobPhase::kMeasuring] == 0.5);  // of two pieces; the second ends the phase
  CHECK(seen.furthest[JobPhase::kEncoding] > 0.5);
  CHECK(seen.furthest[JobPhase::kPublishing] > 0.5);
  CHECK_FALSE(seen.rate_before_shards);
  CHECK(job.progress.phase == JobPhase::kNone);
  CHECK(job.progress.weights_per_second > 0);
}

}  // namespace
}  // namespace seedlm::server
