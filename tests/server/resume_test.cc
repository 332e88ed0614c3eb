// What another attempt takes over from the one before, and what it does not trust.
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "server/errors/reason.h"
#include "server/scheduler/retention.h"
#include "server/scheduler/work_identity.h"
#include "server/storage/sink_target.h"
#include "tests/server/engine_fixture.h"
#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = absl::StatusCode;
using Names = std::set<std::string>;

constexpr int kShards = 12;  // of 64 rows: ten of a.weight, two of b.weight

// A job of one thread that can be made to stand still in the middle.
struct ResumeFixture : EngineFixture {
  ResumeFixture() {
    fake->before = [this](const backend::WeightRows&, std::stop_token stop) {
      if (fake->shards <= hold_after) return absl::OkStatus();
      held = true;
      while (!stop.stop_requested() && fake->shards > hold_after) std::this_thread::yield();
      return stop.stop_requested() ? absl::CancelledError("stopped") : absl::OkStatus();
    };
    options.threads = 1;
    options.shard_weights = 64 * 64;
    options.commit_interval = std::chrono::milliseconds(0);
    WriteSource(1);
  }
  ~ResumeFixture() { engine.reset(); }

  void WriteSource(uint32_t seed) {
    fs::create_directories(directory / "in");
    fs::remove(directory / "in/model.safetensors");
    WriteSafetensors(directory / "in/model.safetensors",
                     {F32Tensor("a.weight", 640, 64, seed), F32Tensor("b.weight", 128, 64, seed),
                      RawTensor("raw", 5000)});
    WriteText(directory / "in/tokens.txt", "words");
  }
  // A job whose first `shards` shards are done, and recorded; the next one stands still.
  std::string CreateHeld(int shards, JobRequest request) {
    hold_after = shards;
    held = false;
    Start(options);
    const std::string name = Create(request);
    while (!held) std::this_thread::yield();
    return name;
  }
  std::string CreateHeld(int shards) { return CreateHeld(shards, Request("in", "o")); }
  std::string CancelHeld(int shards) {
    const std::string name = CreateHeld(shards);
    REQUIRE(engine->service->Cancel(name).ok());
    REQUIRE(engine->WaitForEnd(name).state == JobState::kCancelled);
    Release();
    return name;
  }
  void Release() {
    fake->shards = 0;
    hold_after = 1 << 30;
  }
  JobRecord ResumeToEnd(const std::string& name) {
    const absl::StatusOr<JobRecord> queued = engine->service->Resume(name);
    INFO(queued.status());
    REQUIRE(queued.ok());
    CHECK(queued->state == JobState::kQueued);
    return engine->WaitForEnd(name);
  }
  std::string StagingOf(const std::string& name) const {
    return StagingPath({directory / "out/o", true, false, false, IdOf(name)});
  }
  // The same files as artifacts/src.
  void WriteArtifact() {
    fs::create_directories(directory / "data/artifacts/src");
    fs::copy(directory / "in", directory / "data/artifacts/src", fs::copy_options::recursive);
  }
  JobRequest OfArtifact() {
    JobRequest request = Request("in", "o");
    request.source = {"artifacts/src", ""};
    request.destination = {true, "", false};
    return request;
  }
  void Copy(const std::string& from, const std::string& to) {
    REQUIRE(std::system(("cp -a " + (directory / from) + " " + (directory / to)).c_str()) == 0);
  }
  // What an undisturbed run makes of the source.
  std::string Undisturbed() {
    const JobRecord job = Run(Request("in", "undisturbed"));
    REQUIRE(job.state == JobState::kSucceeded);
    return ReadText(directory / "out/undisturbed/model.safetensors");
  }
  std::string Output() const { return ReadText(directory / "out/o/model.safetensors"); }
  std::vector<std::string> TensorEvents(const std::string& name) {
    std::vector<std::string> names;
    const auto events = engine->service->ReadEvents(name, {0, 1000});
    REQUIRE(events.ok());
    for (const JobEvent& event : events->events) {
      if (const auto* tensor = std::get_if<TensorResult>(&event.body)) {
        names.push_back(tensor->name);
      }
    }
    return names;
  }

  SchedulerOptions options;
  std::atomic<int> hold_after = 1 << 30;
  std::atomic<bool> held = false;
};

TEST_CASE_METHOD(ResumeFixture, "a cancelled job that is resumed runs what is missing") {
  const int done = GENERATE(0, 1, 10, 11);  // 10: the first tensor is finished
  const int64_t once = GENERATE(1, 1 << 20), again = GENERATE(1, 1 << 20);
  CAPTURE(done, once, again);
  fake->blocks_together = once;  // alone, or stopped in the middle of four
  const std::string name = CancelHeld(done);
  fake->blocks_together = again;  // alone, or beside others that are there
  CHECK(fs::exists(StagingOf(name)) == (done > 0));
  CHECK_FALSE(fs::exists(directory / "out/o"));

  const JobRecord job = ResumeToEnd(name);
  INFO(job.error.message);
  REQUIRE(job.state == JobState::kSucceeded);
  CHECK(job.attempt == 2);
  CHECK(fake->shards == kShards - done);
  CHECK(job.progress.shards_done == kShards);
  CHECK(job.progress.weights_done == job.progress.weights_total);
  CHECK((job.progress.weights_kept > 0) == (done > 0));
  CHECK(job.progress.weights_kept < job.progress.weights_total);
  CHECK(Output() == Undisturbed());
  // No tensor is told of twice, none is missing, and their numbers are those of an undisturbed run.
  CHECK(TensorEvents(name) == std::vector<std::string>{"a.weight", "b.weight"});
  CHECK(ListTree(directory / "out/o") == Names{"model.safetensors", "tokens.txt"});
  CHECK_FALSE(fs::exists(StagingOf(name)));
}

TEST_CASE_METHOD(ResumeFixture, "the sums of a tensor do not depend on who encoded its shards") {
  const auto result_of = [this](const std::string& name) {
    const auto events = engine->service->ReadEvents(name, {0, 1000}).value().events;
    for (const JobEvent& event : events) {
      if (const auto* tensor = std::get_if<TensorResult>(&event.body)) return *tensor;
    }
    return TensorResult{};
  };
  const std::string name = CancelHeld(4);
  REQUIRE(ResumeToEnd(name).state == JobState::kSucceeded);
  const JobRecord other = Run(Request("in", "other"));
  const TensorResult resumed = result_of(name);
  const TensorResult whole = result_of(other.name);
  CHECK(resumed.name == "a.weight");
  CHECK(resumed.squared_error == whole.squared_error);
  CHECK(resumed.squared_weights == whole.squared_weights);
  CHECK(resumed.relative_error == whole.relative_error);
  CHECK(resumed.sha256 == whole.sha256);
}

TEST_CASE_METHOD(ResumeFixture, "the next server goes on where the last one stopped") {
  fake->blocks_together = GENERATE(1, 1 << 20);
  const std::string name = CreateHeld(7);
  engine->scheduler->Shutdown();
  CHECK(engine->service->Get(name)->state == JobState::kRunning);
  CHECK(fs::exists(StagingOf(name)));
  Release();
  Start(options);
  const JobRecord job = engine->WaitForEnd(name);
  REQUIRE(job.state == JobState::kSucceeded);
  CHECK(job.attempt == 2);
  CHECK(fake->shards == kShards - 7);
  CHECK(Output() == Undisturbed());
}

TEST_CASE_METHOD(ResumeFixture, "a copy of the data directory goes on where it was made") {
  WriteArtifact();
  const std::string name = CreateHeld(7, OfArtifact());
  engine.reset();
  Copy("data", "copy");
  fs::remove_all(directory / "data");
  const bool changed = GENERATE(false, true);
  if (changed) WriteText(directory / "copy/artifacts/src/tokens.txt", "other");
  Copy("copy", "data");  // other inodes: those of the first are given again only by chance
  Release();
  Start(options);
  const JobRecord job = engine->WaitForEnd(name);
  INFO(job.error.message);
  if (changed) {
    CHECK(job.error.reason == "SOURCE_CHANGED");
    CHECK_THAT(job.error.message, Catch::StartsWith("artifacts/src/tokens.txt"));
    return;
  }
  REQUIRE(job.state == JobState::kSucceeded);
  CHECK(fake->shards == kShards - 7);
  CHECK(ReadText(engine->artifacts.ResultPath(IdOf(name)) + "/model.safetensors") == Undisturbed());
}

TEST_CASE_METHOD(ResumeFixture, "a copy that was made after the rename has the result") {
  WriteArtifact();
  fault_point = [this](std::string_view step) {
    if (step == "commit.published") Copy("data", "copy");
  };
  Start(options);
  const std::string name = Run(OfArtifact()).name;
  fault_point = {};
  engine.reset();
  fs::remove_all(directory / "data");
  const bool damaged = GENERATE(false, true);
  const std::string result = "/artifacts/" + IdOf(name) + "/model.safetensors";
  if (damaged) std::ofstream(directory / "copy" + result, std::ios::app) << "more";
  Copy("copy", "data");
  fake->shards = 0;
  Start(options);
  CHECK(engine->service->Get(name)->attempt < 3);
  REQUIRE(engine->WaitForEnd(name).state == JobState::kSucceeded);
  CHECK(fake->shards == (damaged ? kShards : 0));
  CHECK(ReadText(directory / "data" + result) == Undisturbed());
}

TEST_CASE("an artifact is what it was wherever its data directory stands") {
  const std::string recorded = "artifacts/a/x.safetensors\t10\t1700000000000000001\n";
  // As earlier versions wrote it.
  const std::string old = "/var/lib/artifacts/a/x.safetensors\t10\t1700000000000000001\t77\n";
  CHECK(IdentityWherever(old, "artifacts/a") == recorded);
  CHECK(IdentityWherever(recorded, "artifacts/a") == recorded);
  CHECK(IdentityWherever(old, "") == old);  // a user's file, by chance of such a name
  const std::string later = "artifacts/a/x.safetensors\t10\t1700000000000000002\n";
  CHECK(ChangedFile(recorded, later) == "artifacts/a/x.safetensors");
}

TEST_CASE_METHOD(ResumeFixture, "staged bytes that are not what was recorded are made again") {
  const std::string name = CancelHeld(9);
  const std::string staged = StagingOf(name) + "/model.safetensors";
  const auto plan = [this] {
    const auto checkpoint = format::Checkpoint::Open(directory / "in").value();
    return format::PlanCompression(checkpoint, {}).value().outputs[0].layout;
  }();
  const auto words = static_cast<std::streamoff>(plan.FileOffset("a.weight_packed"));
  constexpr std::streamoff kShardBytes = 64 * 8 * 4;
  int damaged = 0;
  SECTION("a flipped bit in the third shard") {
    std::fstream file(staged, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(words + 2 * kShardBytes + 17);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(words + 2 * kShardBytes + 17);
    file.put(byte);
    damaged = 1;
  }
  SECTION("cut off in the fifth shard") {
    fs::resize_file(staged, static_cast<uintmax_t>(words + 4 * kShardBytes + 100));
    damaged = 5;
  }
  SECTION("a header of zeros") {
    std::fstream(staged, std::ios::in | std::ios::out | std::ios::binary) << std::string(64, '\0');
  }
  SECTION("gone") {
    fs::remove_all(StagingOf(name));
    damaged = 9;
  }
  SECTION("with a file of somebody else beside it") {
    WriteText(StagingOf(name) + "/.seedlm-0123.tmp", "half");
    WriteText(StagingOf(name) + "/sub/tokens.txt", "half");
  }
  REQUIRE(ResumeToEnd(name).state == JobState::kSucceeded);
  CHECK(fake->shards == kShards - 9 + damaged);
  CHECK(Output() == Undisturbed());
  CHECK_FALSE(fs::exists(directory / "out/o/.seedlm-0123.tmp"));
  CHECK_FALSE(fs::exists(directory / "out/o/sub/tokens.txt"));
}

TEST_CASE_METHOD(ResumeFixture, "attack: what is kept is swapped for a link, which is removed") {
  const std::string name = CancelHeld(3);
  // Whoever may write beside the output may do this; the server may write where it leads.
  const std::string victim = GENERATE(as<std::string>{}, "victim", "data");
  WriteText(directory / (victim + "/precious/file"), "x");
  const std::set<std::string> before = ListTree(directory / victim);
  fs::rename(StagingOf(name), directory / "kept");
  fs::create_directory_symlink(directory / victim, StagingOf(name));
  const JobRecord job = ResumeToEnd(name);
  INFO(job.error.message);
  REQUIRE(job.state == JobState::kSucceeded);
  CHECK(ListTree(directory / victim) == before);
  CHECK(fake->shards == kShards);  // the recorded work is of bytes that are not there any more
  CHECK(Output() == Undisturbed());
  CHECK_FALSE(fs::is_symlink(directory / "out/o"));
  int warnings = 0;
  const absl::StatusOr<EventPage> events = engine->service->ReadEvents(name, {0, 1000});
  REQUIRE(events.ok());
  for (const JobEvent& event : events->events) {
    const auto* warning = std::get_if<Warning>(&event.body);
    warnings += warning != nullptr && warning->message.find(StagingOf(name)) == 0;
  }
  CHECK(warnings == 1);
}

TEST_CASE_METHOD(ResumeFixture, "attack: a link that is swung round during the job leads nowhere") {
  const TemporaryDirectory outside;
  WriteText(outside / "tokens.txt", "secret");
  const std::string name = CreateHeld(3);  // the source was looked at; this is copied at the end
  SECTION("a file") {
    fs::remove(directory / "in/tokens.txt");
    fs::create_symlink(outside / "tokens.txt", directory / "in/tokens.txt");
  }
  SECTION("the directory") {
    fs::rename(directory / "in", directory / "before");
    fs::create_directory_symlink(outside.path(), directory / "in");
  }
  Release();
  const JobRecord job = engine->WaitForEnd(name);
  CHECK(job.state == JobState::kFailed);
  CHECK(job.error.code == Code::kPermissionDenied);
  CHECK(job.error.reason == "OUTSIDE_STORAGE_ROOT");
  CHECK_THAT(job.error.message, Catch::Contains(directory / "in/tokens.txt"));
  CHECK_FALSE(fs::exists(directory / "out/o"));
}

TEST_CASE_METHOD(ResumeFixture,
                 "attack: an output stays in its directory when its name leads elsewhere") {
  fs::create_directory(directory / "victim");
  const std::string when = GENERATE("open.begun", "commit.summed");
  fault_point = [&](std::string_view step) {
    if (step != when) return;
    fs::rename(directory / "out", directory / "moved");
    fs::create_directory_symlink(directory / "victim", directory / "out");
  };
  Start(options);
  const JobRecord job = Run(Request("in", "o"));
  INFO(job.error.message);
  CHECK(job.state == JobState::kSucceeded);
  CHECK(ListTree(directory / "victim").empty());
  CHECK(ListTree(directory / "moved/o") == Names{"model.safetensors", "tokens.txt"});
}

TEST_CASE_METHOD(ResumeFixture, "work on a source that is another one by now is not mixed in") {
  const std::string name = CancelHeld(3);
  std::string changed = "model.safetensors";
  SECTION("other weights") { WriteSource(2); }
  SECTION("other weights, of the same size and time") {
    const auto time = fs::last_write_time(directory / "in/model.safetensors");
    fs::rename(directory / "in/model.safetensors", directory / "old");  // keeps its inode
    WriteSource(2);
    fs::last_write_time(directory / "in/model.safetensors", time);
  }
  SECTION("the same bytes at another time") {
    fs::last_write_time(directory / "in/model.safetensors",
                        fs::file_time_type::clock::now() + std::chrono::hours(1));
  }
  SECTION("another file of the checkpoint") {
    WriteText(directory / "in/tokens.txt", "other words");
    changed = "tokens.txt";
  }
  const JobRecord job = ResumeToEnd(name);
  CHECK(job.state == JobState::kFailed);
  CHECK(job.error.code == Code::kFailedPrecondition);
  CHECK(job.error.reason == "SOURCE_CHANGED");
  CHECK_THAT(job.error.message,
             Catch::Contains(changed) && Catch::Contains("create the job again"));
  CHECK(fake->shards == 0);
  CHECK_FALSE(fs::exists(directory / "out/o"));
  CHECK(engine->service->Delete(name).ok());
  CHECK(Outputs().empty());
}

TEST_CASE_METHOD(ResumeFixture, "a source that was mended before any shard is taken as it is") {
  std::vector<float> weights = Gaussian(640 * 64, 1);
  weights.back() = std::numeric_limits<float>::quiet_NaN();
  fs::remove(directory / "in/model.safetensors");
  WriteSafetensors(directory / "in/model.safetensors", {F32Tensor("a.weight", 640, 64, weights)});
  Start(options);
  const JobRecord failed = Run(Request("in", "o"));
  CHECK(failed.error.reason == "WEIGHT_NOT_FINITE");
  CHECK(Outputs().empty());
  WriteSource(1);
  REQUIRE(ResumeToEnd(failed.name).state == JobState::kSucceeded);
  CHECK(Output() == Undisturbed());
}

TEST_CASE_METHOD(ResumeFixture, "work that was cut into other pieces is not mixed in") {
  const std::string name = CancelHeld(3);
  options.shard_weights = 64 * 65;
  Start(options);
  REQUIRE(ResumeToEnd(name).state == JobState::kSucceeded);
  CHECK(fake->shards == 12);  // 640 rows in pieces of 65, and 128
  CHECK(Output() == Undisturbed());
}

TEST_CASE_METHOD(ResumeFixture, "what a failed job has done is kept, too") {
  fake->before = [this](auto&&...) {
    return fake->shards == 5 ? absl::InternalError("the device fell off") : absl::OkStatus();
  };
  Start(options);
  const JobRecord failed = Run(Request("in", "o"));
  REQUIRE(failed.state == JobState::kFailed);
  REQUIRE(ResumeToEnd(failed.name).state == JobState::kSucceeded);
  CHECK(fake->shards == 5 + 1 + kShards - 5);  // the fifth again
  const JobRecord job = engine->service->Get(failed.name).value();
  CHECK(job.error.code == Code::kOk);
  CHECK(Output() == Undisturbed());
}

TEST_CASE_METHOD(ResumeFixture, "what cannot be resumed says so, what runs already stays") {
  Start(options);
  CHECK_THAT(engine->service->Resume("jobs/none").status(),
             IsStatus(Code::kNotFound, {"jobs/none"}));
  const JobRecord done = Run(Request("in", "o"));
  CHECK_THAT(engine->service->Resume(done.name).status(),
             IsStatus(Code::kFailedPrecondition, {done.name, "SUCCEEDED"}));
  const std::string name = CreateHeld(1, Request("in", "o2"));
  CHECK(engine->service->Resume(name)->attempt == 1);
  Release();
  CHECK(engine->WaitForEnd(name).state == JobState::kSucceeded);
}

TEST_CASE_METHOD(ResumeFixture, "a full queue holds resumed jobs back as it does new ones") {
  const std::string name = CancelHeld(1);
  options.max_active_jobs = 1;
  const std::string other = CreateHeld(0, Request("in", "o2"));
  const absl::Status status = engine->service->Resume(name).status();
  CHECK(absl::IsResourceExhausted(status));
  CHECK(ReasonOf(status) == "QUEUE_FULL");
  CHECK(engine->service->Get(name)->state == JobState::kCancelled);
  Release();
  CHECK(engine->WaitForEnd(other).state == JobState::kSucceeded);
}

TEST_CASE_METHOD(ResumeFixture, "an owner fills only the owner's part of the queue") {
  options.max_owner_jobs = 1;
  JobRequest request = Request("in", "o");
  request.owner = "ada";
  const std::string name = CreateHeld(0, request);
  request = Request("in", "o2");
  request.owner = "ada";
  const absl::Status status = engine->service->Create(request, "", false).status();
  CHECK_THAT(status, IsStatus(Code::kResourceExhausted, {"of this owner"}));
  request.owner = "bob";
  const absl::StatusOr<JobRecord> other = engine->service->Create(request, "", false);
  REQUIRE(other.ok());
  Release();
  CHECK(engine->WaitForEnd(name).state == JobState::kSucceeded);
  CHECK(engine->WaitForEnd(other->name).request.owner == "bob");
}

TEST_CASE_METHOD(ResumeFixture, "an owner with many jobs does not keep another one waiting") {
  JobRequest request = Request("in", "first");
  request.owner = "many";
  std::vector<std::string> names = {CreateHeld(0, request)};
  for (int i = 0; i < 5; ++i) {
    request = Request("in", "many" + std::to_string(i));
    request.owner = "many";
    request.priority = 100;
    names.push_back(Create(request));
  }
  request = Request("in", "single");
  request.owner = "single";
  const std::string single = Create(request);
  Release();
  const JobRecord job = engine->WaitForEnd(single);
  REQUIRE(job.state == JobState::kSucceeded);
  int later = 0;
  for (const std::string& name : names) {
    later += engine->WaitForEnd(name).end_time_ns > job.end_time_ns;
  }
  CHECK(later >= 3);  // of six jobs of the same size that were there before it
}

// ---- Deletion.

TEST_CASE_METHOD(ResumeFixture, "jobs are deleted when their time is over") {
  Start(options);
  const JobRecord old = Run(Request("in", "old"));
  const JobRecord young = Run(Request("in", "young"));
  const std::string running = CreateHeld(0, Request("in", "running"));
  REQUIRE(old.end_time_ns < young.end_time_ns);
  REQUIRE(DeleteEndedBefore(*engine->store, *engine->service, old.end_time_ns).ok());
  CHECK(absl::IsNotFound(engine->service->Get(old.name).status()));
  CHECK(engine->service->Get(young.name).ok());
  REQUIRE(DeleteEndedBefore(*engine->store, *engine->service, SystemNow()).ok());
  CHECK(absl::IsNotFound(engine->service->Get(young.name).status()));
  CHECK(engine->service->Get(running).ok());
  Release();
  CHECK(engine->WaitForEnd(running).state == JobState::kSucceeded);
}

TEST_CASE_METHOD(ResumeFixture, "a deleted job leaves nothing but an output of the user's") {
  const std::string name = CancelHeld(3);
  const JobRecord done = Run(Request("in", "mine"));
  JobRequest managed = Request("in", "");
  managed.destination = {true, "", false};
  const JobRecord kept = Run(managed);
  REQUIRE(kept.state == JobState::kSucceeded);
  REQUIRE(fs::exists(engine->artifacts.ResultPath(IdOf(kept.name))));
  for (const std::string& job : {name, done.name, kept.name}) {
    REQUIRE(engine->service->Delete(job).ok());
    CHECK_THAT(engine->service->Get(job).status(), IsStatus(Code::kNotFound, {job}));
    CHECK_THAT(engine->service->ReadEvents(job, {0, 10}).status(),
               IsStatus(Code::kNotFound, {job}));
  }
  CHECK(Outputs() == Names{"mine", "mine/model.safetensors", "mine/tokens.txt"});
  CHECK_FALSE(fs::exists(engine->artifacts.ResultPath(IdOf(kept.name))));
  CHECK(engine->store->Deletions()->empty());
}

TEST_CASE_METHOD(ResumeFixture, "a job that has not ended is not deleted") {
  const std::string name = CreateHeld(1);
  const absl::Status status = engine->service->Delete(name);
  CHECK_THAT(status, IsStatus(Code::kFailedPrecondition, {name, "RUNNING", "cancel"}));
  CHECK(ReasonOf(status) == "JOB_NOT_ENDED");
  Release();
  CHECK(engine->WaitForEnd(name).state == JobState::kSucceeded);
}

TEST_CASE_METHOD(ResumeFixture,
                 "a call with an etag acts on the job that has it, and on no other") {
  const std::string name = CreateHeld(1);
  const std::string running = engine->service->Get(name)->etag;
  const auto is_stale = [&](const absl::Status& status) {
    CHECK_THAT(status, IsStatus(Code::kAborted, {name, "etag"}));
    CHECK(ReasonOf(status) == "ETAG_MISMATCH");
  };
  is_stale(engine->service->Cancel(name, "1").status());  // of the job that was QUEUED
  CHECK(engine->service->Get(name)->state == JobState::kRunning);
  REQUIRE(engine->service->Cancel(name, running).ok());
  const JobRecord cancelled = engine->WaitForEnd(name);
  REQUIRE(cancelled.state == JobState::kCancelled);
  is_stale(engine->service->Cancel(name, running).status());  // although there is nothing to do
  is_stale(engine->service->Resume(name, running).status());
  is_stale(engine->service->Delete(name, running));
  CHECK(engine->service->Get(name)->etag == cancelled.etag);
  Release();
  REQUIRE(engine->service->Resume(name, cancelled.etag).ok());
  is_stale(engine->service->Resume(name, cancelled.etag).status());
  const JobRecord done = engine->WaitForEnd(name);
  CHECK(done.attempt == 2);
  REQUIRE(done.state == JobState::kSucceeded);
  CHECK(engine->service->Delete(name, done.etag).ok());
}

TEST_CASE_METHOD(ResumeFixture, "a deletion that was interrupted is finished by the next server") {
  const std::string name = CancelHeld(3);
  REQUIRE(engine->store->BeginDelete(name, "").ok());  // as far as a killed server came
  CHECK(fs::exists(StagingOf(name)));
  Start(options);
  REQUIRE(engine->service->FinishDeletions().ok());
  CHECK(Outputs().empty());
  CHECK(engine->store->Deletions()->empty());
}

}  // namespace
}  // namespace seedlm::server
