// Jobs on the scheduler: what comes out, and what is left when they do not end well.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <limits>
#include <string>
#include <thread>

#include "kernels/backend/level_choice.h"
#include "kernels/backend/weight_blocks.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/registry/registry.h"
#include "server/scheduler/policy.h"
#include "tests/kernels/read_tensor.h"
#include "tests/server/engine_fixture.h"
#include "tests/server/file_size_limit.h"
#include "tests/server/gated_fixture.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = absl::StatusCode;
using Names = std::set<std::string>;

// What one call of the backend over the whole tensor gives, with the levels of the whole tensor.
backend::EncodedShard EncodeWhole(const backend::Backend& backend, const JobSpec& job,
                                  const format::SafetensorsFile& file, const std::string& name,
                                  backend::WeightType type, codec::LevelTable* levels) {
  const format::TensorInfo& tensor = *file.Find(name);
  const std::vector<std::byte> bytes = format::BytesOf(file, tensor);
  const backend::WeightRows rows{type, tensor.shape[0], tensor.shape[1], bytes.data(), 0};
  codec::NormHistogram histogram;
  REQUIRE(backend::AddBlockNorms(job.profile, rows, histogram).ok());
  *levels = backend::ChooseLevels(backend, job.profile, job.fit, job.scale, histogram, {}).value();
  return backend.Encode({job.profile, job.fit, *levels}, rows, {}).value();
}

template <typename T>
std::string AsString(const T& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])};
}

TEST_CASE_METHOD(EngineFixture, "a job's planes are those of each tensor encoded in one call") {
  WriteSafetensors(directory / "in.safetensors",
                   {F32Tensor("a.weight", 70, 68, 1u), Bf16Tensor("b.weight", 64, 72, 2u),
                    RawTensor("raw", 12345), F32Tensor("norm.weight", 64, 64, 3u)});
  const int threads = GENERATE(1, 2);
  const int64_t shard_weights = GENERATE(1, 64 * 7, 1 << 18);
  JobRequest request = Request("in.safetensors", "o.safetensors");
  request.spec.profile = GENERATE(codec::k4bit, codec::k3bit);
  request.spec.backend = GENERATE("fake", "cpu");
  fake->blocks_together = GENERATE(1, 1 << 20);
  if (request.spec.backend == "cpu" &&
      (fake->blocks_together > 1 || (shard_weights == 1 && threads == 1)))
    return;  // enough is said
  INFO(threads << " threads, " << shard_weights << " weights a shard");
  Start({threads, shard_weights, false});

  const JobRecord job = Run(request);
  INFO(job.error.message);
  REQUIRE(job.state == JobState::kSucceeded);
  const std::string out_path = directory / "out/o.safetensors";
  const auto in = OpenSafetensors(directory / "in.safetensors");
  const auto out = format::OpenPackedFile(out_path);
  REQUIRE(out.ok());
  CHECK(TensorBytes(*out->file, "raw") == TensorBytes(*in, "raw"));
  CHECK(TensorBytes(*out->file, "norm.weight") == TensorBytes(*in, "norm.weight"));

  const auto backend = engine->scheduler->OpenBackend(request.spec.backend).value();
  const auto events = engine->service->ReadEvents(job.name, {0, 100}).value().events;
  REQUIRE(events.size() == 5);  // QUEUED, RUNNING, two tensors, SUCCEEDED
  for (const auto& [name, type] : {std::pair{"a.weight", backend::WeightType::kF32},
                                   {"b.weight", backend::WeightType::kBF16}}) {
    codec::LevelTable levels;
    const backend::EncodedShard whole =
        EncodeWhole(*backend, request.spec, *in, name, type, &levels);
    const format::PlaneNames planes(name);
    CHECK(TensorBytes(*out->file, planes.packed) == AsString(whole.words));
    if (!whole.levels.empty()) {
      CHECK(TensorBytes(*out->file, planes.level) == AsString(whole.levels));
    }
    CHECK(TensorBytes(*out->file, planes.scale) == AsString(levels.scale));
    bool reported = false;
    for (const JobEvent& event : events) {
      const auto* result = std::get_if<TensorResult>(&event.body);
      if (result == nullptr || result->name != name) continue;
      reported = true;
      CHECK(result->relative_error ==
            Approx(std::sqrt(whole.squared_error / whole.squared_weights)).epsilon(1e-12));
      CHECK(result->max_error == whole.max_error);
      CHECK(result->backend == request.spec.backend);
    }
    CHECK(reported);
  }
}

TEST_CASE_METHOD(EngineFixture, "shards and threads leave no trace in the bytes") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 90, 64, 1u)});
  std::string first;
  std::string first_error;
  for (const auto& [threads, shard_weights] :
       {std::pair<int, int64_t>{1, 1 << 20}, {2, 64}, {3, 64 * 11}}) {
    Start({threads, shard_weights, false});
    const std::string name = "o" + std::to_string(threads);
    const JobRecord job = Run(Request("in.safetensors", name));
    REQUIRE(job.state == JobState::kSucceeded);
    const std::string bytes = ReadText(directory / "out/" + name);
    if (first.empty()) first = bytes;
    CHECK(bytes == first);
  }
}

TEST_CASE_METHOD(EngineFixture, "shards are handed out together as far as the backend wants") {
  std::vector<TestTensor> tensors;
  for (unsigned i = 0; i < 12; ++i) {
    tensors.push_back(F32Tensor(std::to_string(i) + ".weight", 64, 64, i));
  }
  WriteSafetensors(directory / "in.safetensors", tensors);
  const auto calls = [this](int threads, int64_t shard_weights, int64_t blocks_together) {
    fake->blocks_together = blocks_together;
    fake->calls = 0;
    Start({threads, shard_weights, false});
    const JobRecord job = Run(Request("in.safetensors", "o"));
    CHECK(job.state == JobState::kSucceeded);
    CHECK(job.progress.shards_done == 12 * std::max<int64_t>(1, 64 * 64 / shard_weights));
    fs::remove(directory / "out/o");
    return fake->calls.load();
  };
  constexpr int64_t kBlocks = 64 * 64 / 8;  // of a tensor
  CHECK(calls(1, 1 << 20, 1) == 12);
  CHECK(calls(1, 1 << 20, kBlocks) == 12);
  CHECK(calls(1, 1 << 20, 2 * kBlocks) == 6);
  CHECK(calls(1, 1 << 20, 2 * kBlocks - 1) == 12);  // a shard is not cut for it
  CHECK(calls(1, 1 << 20, 12 * kBlocks) == 1);
  static_assert(kShardsTogether == 8);
  CHECK(calls(1, 64 * 64, 12 * kBlocks) == 2);  // 8 full shards, and the rest
  CHECK(calls(2, 1 << 20, 12 * kBlocks) == 5);  // 6, 3, 1, 1, 1
  // Where memory is short, fewer.
  fake->blocks_together = 12 * kBlocks;
  fake->calls = 0;
  SchedulerOptions options{1, 64 * 64, false};
  options.shards_together = 3;
  Start(options);
  CHECK(Run(Request("in.safetensors", "o")).state == JobState::kSucceeded);
  CHECK(fake->calls.load() == 4);
}

TEST_CASE_METHOD(EngineFixture, "a job that succeeded says what it made") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
  Start();
  const JobRecord job = Run(Request("in.safetensors", "o.safetensors"));
  REQUIRE(job.state == JobState::kSucceeded);
  REQUIRE(job.output_files.size() == 1);
  CHECK(job.output_files[0].path == "o.safetensors");
  CHECK(job.output_files[0].size ==
        static_cast<int64_t>(fs::file_size(directory / "out/o.safetensors")));
  CHECK(job.output_files[0].sha256 ==
        checksum::Sha256OfFile(directory / "out/o.safetensors").value());
  CHECK(job.progress.weights_done == 64 * 64);
  CHECK(job.progress.weights_total == 64 * 64);
  CHECK(job.progress.shards_done == job.progress.shards_total);
  CHECK(job.progress.tensors_done == 1);
  CHECK(job.progress.bytes_written == job.output_files[0].size);
  CHECK(job.estimate.output_bytes == job.output_files[0].size);
  CHECK(job.start_time_ns >= job.create_time_ns);
  CHECK(job.end_time_ns >= job.start_time_ns);
  AwaitIdle();
  CHECK_FALSE(engine->events.LiveProgress(job.name).has_value());
}

TEST_CASE_METHOD(EngineFixture, "an uploaded directory comes back as a managed one") {
  Start();
  const std::string in = engine->artifacts.ResultPath("up");
  fs::create_directories(in);
  WriteSafetensors(in + "/model.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
  WriteText(in + "/config.json", "{}");
  JobRequest request;
  request.source.artifact = "artifacts/up";
  request.destination.managed = true;
  request.spec.backend = "fake";
  const JobRecord job = Run(request);
  INFO(job.error.message);
  REQUIRE(job.state == JobState::kSucceeded);
  CHECK(job.output_artifact == "artifacts/" + job.name.substr(5));
  const std::string out = engine->artifacts.ResultPath(job.name.substr(5));
  CHECK(ListTree(out) == Names{".seedlm-result", "config.json", "model.safetensors"});
  REQUIRE(job.output_files.size() == 2);
  const auto reader = engine->artifacts.OpenRead({job.name.substr(5), "model.safetensors"}, 0);
  CHECK(reader.ok());
}

TEST_CASE_METHOD(EngineFixture, "a weight that is not finite fails the job before any shard") {
  std::vector<float> weights = Gaussian(64 * 64, 1);
  weights.back() = std::numeric_limits<float>::quiet_NaN();
  WriteSafetensors(directory / "in.safetensors",
                   {F32Tensor("a.weight", 64, 64, 1u), F32Tensor("b.weight", 64, 64, weights)});
  Start();
  const JobRecord job = Run(Request("in.safetensors", "o"));
  CHECK(job.state == JobState::kFailed);
  CHECK(job.error.code == Code::kInvalidArgument);
  CHECK(job.error.reason == "WEIGHT_NOT_FINITE");
  for (const char* word : {"in.safetensors", "b.weight", "row 63", "column 63"}) {
    CHECK_THAT(job.error.message, Catch::Contains(word));
  }
  CHECK(fake->shards == 0);
  CHECK(Outputs().empty());
}

TEST_CASE_METHOD(EngineFixture, "an error of a shard fails its job, and the server goes on") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 640, 64, 1u)});
  fake->before = [this](auto&&...) {
    return fake->shards == 3 ? absl::InternalError("the device fell off") : absl::OkStatus();
  };
  Start({2, 64 * 64, false});
  JobRecord job = Run(Request("in.safetensors", "o"));
  CHECK(job.state == JobState::kFailed);
  CHECK(job.error.code == Code::kInternal);
  CHECK_THAT(job.error.message, Catch::Contains("a.weight") && Catch::Contains("fell off"));
  CHECK_FALSE(fs::exists(directory / "out/o"));
  job = Run(Request("in.safetensors", "o"));
  CHECK(job.state == JobState::kSucceeded);
}

TEST_CASE_METHOD(EngineFixture,
                 "a job whose device is lost fails, the next one is refused at once") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
  Start();
  fake->before = [this](auto&&...) {
    fake->lost = true;
    return fake->Health();
  };
  const JobRecord job = Run(Request("in.safetensors", "a.safetensors"));
  CHECK(job.state == JobState::kFailed);
  CHECK(job.error.code == Code::kUnavailable);
  CHECK(job.error.reason == "BACKEND_LOST");
  CHECK_THAT(job.error.message, Catch::Contains("device 0 is lost"));
  const auto refused =
      engine->service->Create(Request("in.safetensors", "b.safetensors"), "", false);
  CHECK(refused.status().code() == Code::kFailedPrecondition);
  CHECK(ReasonOf(refused.status()) == "BACKEND_UNAVAILABLE");
  CHECK_THAT(std::string(refused.status().message()), Catch::Contains("device 0 is lost"));
}

std::vector<std::string> Warnings(EngineFixture& fixture, const std::string& job) {
  std::vector<std::string> warnings;
  const auto events = fixture.engine->service->ReadEvents(job, {0, 100}).value().events;
  for (const JobEvent& event : events) {
    if (const auto* warning = std::get_if<Warning>(&event.body))
      warnings.push_back(warning->message);
  }
  return warnings;
}

TEST_CASE_METHOD(EngineFixture, "a shard that is lost returns to the queue, with its attempt") {
  WriteSafetensors(directory / "in.safetensors",
                   {F32Tensor("a.weight", 320, 64, 1u), F32Tensor("b.weight", 320, 64, 2u)});
  fake->blocks_together = GENERATE(1, 1 << 20);  // in a call alone, or with others
  Start({2, 64 * 64, false});
  REQUIRE(Run(Request("in.safetensors", "undisturbed")).state == JobState::kSucceeded);
  const int undisturbed = fake->shards;
  const bool all_devices = GENERATE(false, true);  // or one of several
  fake->reopens = all_devices;
  std::atomic<bool> failed = false;
  fake->before = [this, undisturbed, all_devices, &failed](auto&&...) {
    if (fake->shards < undisturbed + 3 || failed.exchange(true)) return absl::OkStatus();
    fake->lost = all_devices;
    return absl::UnavailableError("device 1 fell off");
  };
  const JobRecord job = Run(Request("in.safetensors", "o"));
  INFO(job.error.message);
  REQUIRE(job.state == JobState::kSucceeded);
  CHECK(ReadText(directory / "out/o") == ReadText(directory / "out/undisturbed"));
  CHECK(fake->shards == 2 * undisturbed + 1);
  const std::vector<std::string> warnings = Warnings(*this, job.name);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0],
             Catch::Contains("attempt 1 of 3") && Catch::Contains("device 1 fell off"));
  if (fake->blocks_together == 1) CHECK_THAT(warnings[0], Catch::Contains("a.weight"));
}

TEST_CASE_METHOD(EngineFixture, "a shard that is lost again and again fails its job") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
  fake->before = [](auto&&...) { return absl::UnavailableError("device 1 fell off"); };
  Start();
  const JobRecord job = Run(Request("in.safetensors", "o"));
  CHECK(job.state == JobState::kFailed);
  CHECK(job.error.code == Code::kUnavailable);
  CHECK(fake->shards == 3);
  CHECK(Warnings(*this, job.name).size() == 2);
}

TEST_CASE_METHOD(EngineFixture, "an exception of a backend fails its job, not the server") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
  fake->before = [](auto&&...) -> absl::Status { throw std::runtime_error("third party"); };
  Start();
  const JobRecord job = Run(Request("in.safetensors", "o"));
  CHECK(job.state == JobState::kFailed);
  CHECK_THAT(job.error.message, Catch::Contains("third party"));
  CHECK(Outputs().empty());
}

TEST_CASE_METHOD(EngineFixture, "a full disk fails the job by name and leaves nothing") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 1024, 1024, 1u)});
  Start();
  JobRecord job;
  {
    const FileSizeLimit limit(256 << 10);  // enough for the database
    job = Run(Request("in.safetensors", "o"));
  }
  CHECK(job.state == JobState::kFailed);
  CHECK(job.error.code == Code::kResourceExhausted);
  CHECK_THAT(job.error.message, Catch::Contains(directory / "out/"));
  CHECK(fake->shards == 0);
  CHECK(Outputs().empty());
}

TEST_CASE_METHOD(GatedFixture, "a job that is cancelled stops within a shard and leaves nothing") {
  Start({2, 64 * 64, false});
  const std::string name = Create(Request("in.safetensors", "o"));
  gate.WaitForShards(2);
  CHECK(engine->service->Get(name)->state == JobState::kRunning);
  CHECK_FALSE(Outputs().empty());  // the staging directory
  REQUIRE(engine->service->Cancel(name).ok());
  const JobRecord job = engine->WaitForEnd(name);
  CHECK(job.state == JobState::kCancelled);
  CHECK(job.error.code == Code::kOk);
  CHECK(fake->shards == 2);
  CHECK(Outputs().empty());
  // Idempotent: what has ended stays as it is.
  const absl::StatusOr<JobRecord> again = engine->service->Cancel(name);
  CHECK(again->etag == job.etag);
  CHECK(engine->service->ReadEvents(name, {0, 100})->events.size() == 3);
}

TEST_CASE_METHOD(GatedFixture, "a cancel is seen before it takes effect") {
  fake->before = [this](const backend::WeightRows&, const std::stop_token&) {
    return gate.Pass({});  // a shard that cannot be stopped
  };
  Start({1, 64 * 64, false});
  const std::string name = Create(Request("in.safetensors", "o"));
  gate.WaitForShards(1);
  CHECK(engine->service->Get(name)->progress.phase == JobPhase::kEncoding);
  const absl::StatusOr<JobRecord> asked = engine->service->Cancel(name);
  REQUIRE(asked.ok());
  CHECK(asked->state == JobState::kRunning);
  CHECK(asked->progress.phase == JobPhase::kCancelling);
  CHECK(engine->service->List({})->jobs[0].progress.phase == JobPhase::kCancelling);
  const absl::Status deleted = engine->service->Delete(name);
  CHECK_THAT(deleted, IsStatus(Code::kFailedPrecondition, {name, "is being cancelled"}));
  CHECK(ReasonOf(deleted) == "JOB_NOT_ENDED");
  gate.Open();
  const JobRecord job = engine->WaitForEnd(name);
  CHECK(job.state == JobState::kCancelled);
  CHECK(job.progress.phase == JobPhase::kNone);
}

TEST_CASE_METHOD(GatedFixture, "a job that waits is cancelled at once") {
  Start({1, 64 * 64, false});
  const std::string first = Create(Request("in.safetensors", "o1"));
  gate.WaitForShards(1);
  const std::string second = Create(Request("in.safetensors", "o2"));
  CHECK(engine->service->Cancel(second)->state == JobState::kCancelled);
  gate.Open();
  CHECK(engine->WaitForEnd(first).state == JobState::kSucceeded);
  CHECK(Outputs() == Names{"o1"});
}

TEST_CASE_METHOD(GatedFixture, "progress is live while a job runs") {
  Start({1, 64 * 64, false});
  const std::string name = Create(Request("in.safetensors", "o"));
  gate.WaitForShards(1);
  const Progress progress = engine->service->Get(name)->progress;
  CHECK(progress.weights_done == 0);
  CHECK(progress.weights_total == 640 * 64);
  CHECK(progress.shards_total == 10);
  CHECK(progress.tensors_total == 1);
  gate.Open();
  CHECK(engine->WaitForEnd(name).progress.shards_done == 10);
}

TEST_CASE_METHOD(GatedFixture, "workers turn to the next job when the first has nothing to give") {
  Start({2, 640 * 64, false});  // one shard a job: the second worker has only the second job
  const std::string first = Create(Request("in.safetensors", "o1"));
  const std::string second = Create(Request("in.safetensors", "o2"));
  gate.WaitForShards(2);
  CHECK(engine->service->Get(first)->state == JobState::kRunning);
  CHECK(engine->service->Get(second)->state == JobState::kRunning);
  gate.Open();
  CHECK(engine->WaitForEnd(first).state == JobState::kSucceeded);
  CHECK(engine->WaitForEnd(second).state == JobState::kSucceeded);
}

TEST_CASE_METHOD(GatedFixture, "the more urgent of two waiting jobs is run first") {
  Start({1, 64 * 64, false});
  const std::string running = Create(Request("in.safetensors", "o"));
  gate.WaitForShards(1);
  JobRequest urgent = Request("in.safetensors", "urgent");
  urgent.priority = 5;
  const std::string idle = Create(Request("in.safetensors", "idle"));
  const std::string hurry = Create(urgent);
  gate.Open();
  const JobRecord hurried = engine->WaitForEnd(hurry);
  const JobRecord idled = engine->WaitForEnd(idle);
  CHECK(hurried.start_time_ns < idled.start_time_ns);
  CHECK(hurried.end_time_ns < engine->WaitForEnd(running).end_time_ns);  // it overtook that one
}

}  // namespace
}  // namespace seedlm::server
