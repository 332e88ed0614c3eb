// WatchJob over a real channel.
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <thread>

#include "server/jobs/sqlite_job_store.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

std::vector<int64_t> OneTo(int64_t last) {
  std::vector<int64_t> numbers(static_cast<size_t>(last));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

v1::CreateJobRequest ManyTensors(RpcFixture& fixture, int count = 12) {
  WriteCheckpoint(fixture.root() / "many.safetensors", SmallTensors(count));
  return fixture.FileJob("many.safetensors", "many.out.safetensors");
}

void OneWorker(ServerOptions& options) { options.threads = 1; }

// With OneWorker: nothing is done for any other job until this one is cancelled.
std::string HoldWorker(RpcFixture& fixture) {
  std::string name = fixture.MustCreateSlow();
  fixture.AwaitState(name, v1::JOB_STATE_RUNNING);
  return name;
}

TEST_CASE("a watch is a snapshot, then every event once, then OK after the final state") {
  RpcFixture fixture;
  const std::string chosen = GENERATE("cpu", "reference");
  const int count = chosen == "cpu" ? 12 : 1;  // the reference takes seconds for each
  v1::CreateJobRequest request = ManyTensors(fixture, count);
  request.mutable_job()->mutable_spec()->set_backend(chosen);
  const std::string name = fixture.MustCreate(request);
  std::vector<v1::JobEvent> events;
  REQUIRE(fixture.Watch(name, 0, {}, &events).ok());
  REQUIRE(events.size() >= 2);
  REQUIRE(events.front().has_snapshot());
  CHECK(events.front().snapshot().name() == name);
  const std::vector<int64_t> sequences = Sequences(events);
  CHECK(sequences == OneTo(static_cast<int64_t>(sequences.size())));
  CHECK(events.back().state() == v1::JOB_STATE_SUCCEEDED);
  int tensors = 0;
  for (const v1::JobEvent& event : events) {
    if (event.has_progress() || event.has_keep_alive()) CHECK(event.sequence() == 0);
    if (!event.has_tensor()) continue;
    ++tensors;
    const v1::TensorResult& tensor = event.tensor();
    CHECK(tensor.relative_error() > 0);
    CHECK(tensor.relative_error() < 0.2);
    CHECK(tensor.relative_error() == std::sqrt(tensor.squared_error() / tensor.squared_weights()));
    CHECK(tensor.max_error() > 0);
    CHECK(tensor.max_error() * tensor.max_error() <= tensor.squared_error());
    CHECK(tensor.max_error() * tensor.max_error() * 64 * 64 > tensor.squared_error());
    CHECK(tensor.rows() == 64);
    CHECK(tensor.columns() == 64);
    CHECK(tensor.bits_per_weight() == 4.0);
    CHECK(tensor.seconds() > 0);
    CHECK(tensor.backend() == chosen);
    CHECK(tensor.source_bytes() == 64 * 64 * 4);
    CHECK(tensor.packed_bytes() == 64 * 64 / 2 + 80);
    CHECK(tensor.level_blocks_size() == 16);
    CHECK(tensor.sha256().size() == 64);
  }
  CHECK(tensors == count);

  // The same again, from the store alone.
  std::vector<v1::JobEvent> replayed;
  REQUIRE(fixture.Watch(name, 0, {}, &replayed).ok());
  CHECK(replayed.front().snapshot().state() == v1::JOB_STATE_SUCCEEDED);
  CHECK(replayed.front().sequence() == sequences.back());
  CHECK(Sequences(replayed) == sequences);
}

TEST_CASE("going on after any event misses nothing and repeats nothing") {
  RpcFixture fixture;
  const std::string name = fixture.MustCreate(ManyTensors(fixture));
  std::vector<int64_t> taken;
  int streams = 0;
  grpc::Status status = grpc::Status::CANCELLED;
  while (!status.ok()) {  // each stream breaks after two numbered events
    REQUIRE(++streams < 100);
    int numbered = 0;
    std::vector<v1::JobEvent> events;
    const int64_t after = taken.empty() ? 0 : taken.back();
    const auto enough = [&](const v1::JobEvent& event) {
      if (!event.has_snapshot() && event.sequence() != 0) ++numbered;
      return numbered == 2;
    };
    status = fixture.Watch(name, after, enough, &events);
    REQUIRE(events.front().has_snapshot());
    for (const int64_t sequence : Sequences(events)) taken.push_back(sequence);
  }
  CHECK(streams >= 2);
  std::vector<v1::JobEvent> all;
  REQUIRE(fixture.Watch(name, 0, {}, &all).ok());
  CHECK(taken == Sequences(all));
}

TEST_CASE("a cursor at the end gives the snapshot alone; past it, OUT_OF_RANGE") {
  RpcFixture fixture;
  const std::string name = fixture.MustCreate(ManyTensors(fixture));
  std::vector<v1::JobEvent> all;
  REQUIRE(fixture.Watch(name, 0, {}, &all).ok());
  const int64_t last = Sequences(all).back();

  std::vector<v1::JobEvent> events;
  REQUIRE(fixture.Watch(name, last, {}, &events).ok());
  CHECK(events.size() == 1);
  for (const int64_t wrong : {last + 1, int64_t{-1}, INT64_MAX, INT64_MIN}) {
    events.clear();
    const grpc::Status status = fixture.Watch(name, wrong, {}, &events);
    CHECK(status.error_code() == grpc::StatusCode::OUT_OF_RANGE);
    CHECK(events.empty());
    CHECK_FALSE(Explain(status).info.reason().empty());
  }
}

TEST_CASE("watching what is not there") {
  RpcFixture fixture;
  std::vector<v1::JobEvent> events;
  CHECK(fixture.Watch("jobs/nobody", 0, {}, &events).error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(fixture.Watch("nobody", 0, {}, &events).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(events.empty());
}

TEST_CASE("a watcher of a job that is cancelled sees it end") {
  RpcFixture fixture;
  const std::string name = fixture.MustCreateSlow();
  bool cancelled = false;
  std::vector<v1::JobEvent> events;
  const auto cancel_once = [&](const v1::JobEvent& event) {
    v1::Job job;
    if (event.state() == v1::JOB_STATE_RUNNING && !cancelled) {
      cancelled = fixture.Cancel(name, &job).ok();
    }
    return false;
  };
  REQUIRE(fixture.Watch(name, 0, cancel_once, &events).ok());
  CHECK(cancelled);
  CHECK(events.back().state() == v1::JOB_STATE_CANCELLED);
}

TEST_CASE("an idle watch is kept alive") {
  RpcFixture fixture([](ServerOptions& options) {
    options.watch_keep_alive = std::chrono::milliseconds(20);
    options.threads = 1;
  });
  const std::string running = fixture.MustCreateSlow("first.safetensors");
  fixture.AwaitState(running, v1::JOB_STATE_RUNNING);
  const std::string waiting = fixture.MustCreateSlow("second.safetensors");
  int keep_alives = 0;
  std::vector<v1::JobEvent> events;
  const auto enough = [&](const v1::JobEvent& event) {
    return event.has_keep_alive() && ++keep_alives == 3;
  };
  CHECK(fixture.Watch(waiting, 0, enough, &events).error_code() == grpc::StatusCode::CANCELLED);
  CHECK(keep_alives >= 3);
  CHECK(Sequences(events) == OneTo(1));  // QUEUED
}

TEST_CASE("100 watchers at once all see the same") {
  RpcFixture fixture(OneWorker);
  const std::string slow = HoldWorker(fixture);
  WriteCheckpoint(fixture.root() / "many.safetensors", SmallTensors(12));
  const std::string name =
      fixture.MustCreate(fixture.FileJob("many.safetensors", "many.out.safetensors"));
  constexpr int kWatchers = 100;
  std::atomic<int> watching = 0;
  std::vector<std::vector<v1::JobEvent>> events(kWatchers);
  std::vector<grpc::Status> statuses(kWatchers);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < kWatchers; ++i) {
      threads.emplace_back([&, i] {
        const auto count = [&](const v1::JobEvent& event) {
          if (event.has_snapshot()) ++watching;
          return false;
        };
        statuses[i] = fixture.Watch(name, 0, count, &events[i]);
      });
    }
    for (int i = 0; i < 2000 && watching < kWatchers; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    v1::Job job;
    fixture.Cancel(slow, &job);
  }
  CHECK(watching == kWatchers);
  const std::vector<int64_t> expected = Sequences(events.front());
  CHECK(expected == OneTo(static_cast<int64_t>(expected.size())));
  CHECK(expected.size() == 3 + 12);  // QUEUED, RUNNING, 12 tensors, SUCCEEDED
  for (size_t i = 0; i < kWatchers; ++i) {
    CHECK(statuses[i].ok());
    CHECK(Sequences(events[i]) == expected);
  }
}

// Through the channel without a socket: what is left is the server's own part.
TEST_CASE("1,000 watchers on one job all see the same") {
  RpcFixture fixture(OneWorker);
  const std::string slow = HoldWorker(fixture);
  v1::WatchJobRequest request;
  request.set_name(fixture.MustCreate(ManyTensors(fixture)));
  const auto stub = v1::CompressionService::NewStub(fixture.server().InProcessChannel());
  constexpr size_t kWatchers = 1000;
  std::vector<grpc::ClientContext> contexts(kWatchers);
  std::vector<std::unique_ptr<grpc::ClientReader<v1::JobEvent>>> readers;
  v1::JobEvent event;
  for (grpc::ClientContext& context : contexts) {
    readers.push_back(stub->WatchJob(&context, request));
    REQUIRE(readers.back()->Read(&event));
    REQUIRE(event.snapshot().state() != v1::JOB_STATE_SUCCEEDED);
  }
  v1::Job job;
  REQUIRE(fixture.Cancel(slow, &job).ok());
  int all_seen = 0;
  for (const auto& reader : readers) {
    std::vector<v1::JobEvent> events;
    while (reader->Read(&event)) events.push_back(event);
    CHECK(reader->Finish().ok());
    all_seen += Sequences(events) == OneTo(3 + 12);  // QUEUED, RUNNING, 12 tensors, SUCCEEDED
  }
  CHECK(all_seen == kWatchers);
}

// An ended job whose events are over 16 MiB: far more than the connection and gRPC take in advance.
std::string StoreLargeJob(RpcFixture& fixture, int warnings) {
  fixture.Stop();
  auto store = SqliteJobStore::Open(fixture.options().data_dir + "/jobs.sqlite", [] { return 1; });
  REQUIRE(store.ok());
  JobRecord job;
  job.name = "jobs/large";
  job.request.destination.managed = true;
  REQUIRE((*store)->Insert(job, {}).ok());
  const Warning warning{std::string(128 << 10, 'w')};
  for (int i = 0; i < warnings; ++i) REQUIRE((*store)->AppendEvent(job.name, warning).ok());
  REQUIRE((*store)->Update(job.name, {JobState::kCancelled, {}, {}, {}}).ok());
  store->reset();
  fixture.Restart();
  return job.name;
}

TEST_CASE("watchers that do not read hold nothing up, and miss nothing") {
  constexpr int kWarnings = 128;
  RpcFixture fixture;
  const std::string name = StoreLargeJob(fixture, kWarnings);
  v1::WatchJobRequest request;
  request.set_name(name);
  // More than there are threads for calls: if a write that waits for its client held one, nothing
  // else would be answered.
  constexpr size_t kStalled = 8;
  std::vector<grpc::ClientContext> contexts(kStalled);
  std::vector<std::unique_ptr<grpc::ClientReader<v1::JobEvent>>> stalled;
  v1::JobEvent event;
  for (grpc::ClientContext& context : contexts) {
    stalled.push_back(fixture.jobs().WatchJob(&context, request));
    REQUIRE(stalled.back()->Read(&event));
    CHECK(event.has_snapshot());
  }
  const std::string small = fixture.MustCreate(ManyTensors(fixture));
  CHECK(fixture.Await(small).state() == v1::JOB_STATE_SUCCEEDED);
  for (const auto& reader : stalled) {
    std::vector<v1::JobEvent> events;
    while (reader->Read(&event)) events.push_back(event);
    CHECK(reader->Finish().ok());
    CHECK(Sequences(events) == OneTo(kWarnings + 2));  // QUEUED, the warnings, CANCELLED
    CHECK(events.back().state() == v1::JOB_STATE_CANCELLED);
  }
}

TEST_CASE("a draining server ends a watch with UNAVAILABLE") {
  RpcFixture fixture;
  const std::string name = fixture.MustCreateSlow();
  std::vector<v1::JobEvent> events;
  std::jthread stopper;
  const auto stop_once = [&](const v1::JobEvent& event) {
    if (event.state() == v1::JOB_STATE_RUNNING && !stopper.joinable()) {
      stopper = std::jthread([&] { fixture.server().Shutdown(std::chrono::seconds(5)); });
    }
    return false;
  };
  const grpc::Status status = fixture.Watch(name, 0, stop_once, &events);
  REQUIRE(status.error_code() == grpc::StatusCode::UNAVAILABLE);
  CHECK(Explain(status).info.reason() == "SERVER_DRAINING");
  CHECK(Explain(status).has_retry);
  // Who comes again is not shown the job first: that would look as if the watch had got on.
  for (int i = 0; i < 20; ++i) {
    std::vector<v1::JobEvent> more;
    CHECK_FALSE(fixture
                    .Watch(
                        name, 0, [](const v1::JobEvent&) { return false; }, &more)
                    .ok());
    CHECK(more.empty());
  }
}

}  // namespace
}  // namespace seedlm::server
