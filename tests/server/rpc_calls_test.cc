// Calls that wait for a thread: what they hold up, and what becomes of those that are given up.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"
#include "server/rpc/compression_rpc.h"
#include "server/rpc/door.h"
#include "server/rpc/turn_pool.h"
#include "server/rpc/work_pool.h"
#include "tests/server/engine_fixture.h"

namespace seedlm::server {
namespace {

using std::chrono::milliseconds;

TEST_CASE("a pool takes as many waiting calls as it was told, and all that is posted") {
  std::atomic<int> done = 0;
  std::latch let_go(1);
  {
    WorkPool pool(1, 3, 2);
    std::latch busy(1);
    pool.Post([&] {
      busy.count_down();
      let_go.wait();
    });
    busy.wait();
    const auto count = [&] { ++done; };
    for (int i = 0; i < 10; ++i) pool.Post(count);  // takes no place from calls
    CHECK(pool.TryPost("a", count));
    CHECK(pool.TryPost("a", count));
    CHECK_FALSE(pool.TryPost("a", count));
    CHECK(pool.TryPost("b", count));
    CHECK_FALSE(pool.TryPost("b", count));
    pool.Post(count);
    let_go.count_down();
  }
  CHECK(done == 14);
}

TEST_CASE("a call that has begun waits no more") {
  std::latch let_go(1);
  WorkPool pool(1, 1);
  std::latch busy(1);
  REQUIRE(pool.TryPost("a", [&] {
    busy.count_down();
    let_go.wait();
  }));
  busy.wait();
  CHECK(pool.TryPost("a", [] {}));
  CHECK_FALSE(pool.TryPost("b", [] {}));
  let_go.count_down();
}

TEST_CASE("owners take turns") {
  std::string order;  // of the only thread
  std::latch let_go(1);
  // A step that posts the next one, as long work does, also while the pool ends.
  std::function<void()> next;
  int left = 5;
  {
    TurnPool pool(1);
    next = [&] {
      order += 'c';
      if (--left > 0) pool.Post("c", next);
    };
    pool.Post("a", [&] { let_go.wait(); });
    for (int i = 0; i < 20; ++i) pool.Post("a", [&] { order += 'a'; });
    pool.Post("c", next);
    let_go.count_down();
  }
  REQUIRE(order.size() == 25);
  CHECK(order.rfind('c') < 12);  // not after all that came before
}

TEST_CASE("an owner who is alone has all threads") {
  std::latch both(2);
  TurnPool pool(2);
  for (int i = 0; i < 2; ++i) pool.Post("a", [&] { both.arrive_and_wait(); });
  both.wait();  // for ever, if one step waited for the other
}

// A CompressionService whose only planning thread is busy until it is let go; one call may wait.
struct BusyFixture : EngineFixture {
  BusyFixture() {
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
    Compose();
    rpc = std::make_unique<CompressionRpc>(door, *engine->service, calls, planning, watches,
                                           ServiceLimits{}, WatchOptions{});
    grpc::ServerBuilder builder;
    builder.RegisterService(rpc.get());
    server = builder.BuildAndStart();
    stub = v1::CompressionService::NewStub(server->InProcessChannel({}));
    std::latch busy(1);
    planning.Post([this, &busy] {
      busy.count_down();
      while (!let_go) std::this_thread::yield();
    });
    busy.wait();
  }
  ~BusyFixture() {
    let_go = true;
    server->Shutdown();
  }
  v1::CreateJobRequest Job() const {
    v1::CreateJobRequest request;
    request.mutable_job()->mutable_source()->set_uri(Uri("in.safetensors"));
    request.mutable_job()->mutable_destination()->set_uri(Uri("out/o"));
    request.mutable_job()->mutable_spec()->set_backend("fake");
    return request;
  }
  // Returns when all that was posted so far is done.
  void DrainPlanning() {
    let_go = true;
    std::latch drained(1);
    planning.Post([&] { drained.count_down(); });
    drained.wait();
  }

  std::atomic<bool> let_go = false;
  const Door door{nullptr};  // open to all
  OwnerGate watches{"watches", "OWNER_WATCHES", 10, 10};
  std::unique_ptr<CompressionRpc> rpc;
  WorkPool calls{1, 2};
  WorkPool planning{1, 1};
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<v1::CompressionService::Stub> stub;
};

void CheckBusy(const grpc::Status& status) {
  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  google::rpc::RetryInfo retry;
  REQUIRE(details.ParseFromString(status.error_details()));
  REQUIRE(details.details_size() == 2);
  CHECK(details.details(0).UnpackTo(&info));
  CHECK(info.reason() == "SERVER_BUSY");
  CHECK(details.details(1).UnpackTo(&retry));
  CHECK(retry.retry_delay().seconds() == 1);
}

TEST_CASE_METHOD(BusyFixture, "too many calls that plan are refused for now; others go on") {
  REQUIRE(planning.TryPost("", [] {}));
  grpc::ClientContext context;
  v1::Job job;
  CheckBusy(stub->CreateJob(&context, Job(), &job));

  grpc::ClientContext list_context;
  v1::ListJobsResponse listed;
  CHECK(stub->ListJobs(&list_context, {}, &listed).ok());
  DrainPlanning();
  grpc::ClientContext again;
  CHECK(stub->CreateJob(&again, Job(), &job).ok());
}

TEST_CASE_METHOD(BusyFixture, "too many calls of any kind are refused for now; streams go on") {
  const auto job = engine->service->Create(Request("in.safetensors", "o"), "", false);
  REQUIRE(job.ok());
  grpc::ClientContext watch_context;
  v1::WatchJobRequest watch;
  watch.set_name(job->name);
  v1::JobEvent event;
  const auto reader = stub->WatchJob(&watch_context, watch);
  REQUIRE(reader->Read(&event));

  std::latch busy(1);
  std::atomic<bool> free = false;
  calls.Post([&] {
    busy.count_down();
    while (!free) std::this_thread::yield();
  });
  busy.wait();
  REQUIRE(calls.TryPost("", [] {}));
  REQUIRE(calls.TryPost("", [] {}));
  grpc::ClientContext context;
  v1::GetJobRequest get;
  get.set_name(job->name);
  v1::Job answer;
  CheckBusy(stub->GetJob(&context, get, &answer));
  REQUIRE(engine->service->Cancel(job->name).ok());  // and the watch has something to read
  free = true;
  bool ended = false;
  while (reader->Read(&event)) ended |= event.state() == v1::JOB_STATE_CANCELLED;
  CHECK(ended);
  CHECK(reader->Finish().ok());
  grpc::ClientContext again;
  CHECK(stub->GetJob(&again, get, &answer).ok());
}

TEST_CASE_METHOD(BusyFixture, "a call whose deadline is over while it waits makes no job") {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + milliseconds(50));
  v1::Job job;
  CHECK(stub->CreateJob(&context, Job(), &job).error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  DrainPlanning();
  CHECK(engine->service->List({})->jobs.empty());
}

TEST_CASE_METHOD(BusyFixture, "a call that is cancelled while it waits makes no job") {
  grpc::ClientContext context;
  v1::Job job;
  grpc::Status status;
  {
    const std::jthread caller([&] { status = stub->CreateJob(&context, Job(), &job); });
    std::this_thread::sleep_for(milliseconds(100));  // it has come to wait
    context.TryCancel();
  }
  CHECK(status.error_code() == grpc::StatusCode::CANCELLED);
  std::this_thread::sleep_for(milliseconds(200));  // the server has heard of it
  DrainPlanning();
  CHECK(engine->service->List({})->jobs.empty());
}

}  // namespace
}  // namespace seedlm::server
