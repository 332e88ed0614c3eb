#include "client/job_client.h"

#include <catch2/catch.hpp>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "client/exit_code.h"
#include "tests/client/fake_services.h"

namespace seedlm::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class FakeJobs : public v1::CompressionService::Service {
 public:
  std::function<grpc::Status(grpc::ServerContext&, int call)> on_call;
  std::function<grpc::Status(grpc::ServerContext&, grpc::ServerWriter<v1::JobEvent>&,
                             int64_t after)>
      on_watch;
  std::atomic<int> calls = 0;

  std::set<std::string> request_ids() {
    const std::lock_guard lock(mutex_);
    return request_ids_;
  }

  grpc::Status CreateJob(grpc::ServerContext* context, const v1::CreateJobRequest* request,
                         v1::Job* job) override {
    {
      const std::lock_guard lock(mutex_);
      request_ids_.insert(request->request_id());
    }
    job->set_name("jobs/1");
    return on_call(*context, calls++);
  }
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* /*request*/,
                      v1::Job* job) override {
    job->set_name("jobs/1");
    return on_call(*context, calls++);
  }
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override {
    ++calls;
    return on_watch(*context, *writer, request->after_sequence());
  }

 private:
  std::mutex mutex_;
  std::set<std::string> request_ids_;
};

Patience Short() {
  return {.unary = {.max_attempts = 3, .first_delay = milliseconds(1)},
          .stream = {.max_attempts = 1000, .first_delay = milliseconds(1)},
          .answer = milliseconds(20'000),
          .create = milliseconds(60),
          .silence = milliseconds(100)};
}

TEST_CASE("a call to a server that does not answer ends soon after an interrupt") {
  FakeJobs service;
  service.on_call = [](grpc::ServerContext& context, int) { return Stall(context); };
  ServiceHost host(service);
  JobClient client(host.channel(), "the fake", Short());
  std::stop_source stop;
  const std::jthread later([&] {
    std::this_thread::sleep_for(milliseconds(100));
    stop.request_stop();
  });
  const auto start = steady_clock::now();
  const auto job = client.GetJob("jobs/1", stop.get_token());
  CHECK(absl::IsCancelled(job.status()));
  CHECK(absl::StrContains(job.status().message(), "interrupted; "));
  CHECK(steady_clock::now() - start < std::chrono::seconds(10));
}

TEST_CASE("a CreateJob that is late is sent again with its id, and gives one job") {
  FakeJobs service;
  service.on_call = [](grpc::ServerContext& context, int call) {
    return call == 0 ? Stall(context) : grpc::Status::OK;
  };
  ServiceHost host(service);
  JobClient client(host.channel(), "the fake", Short());
  const auto job = client.CreateJob({}, {});
  REQUIRE(job.ok());
  CHECK(job->name() == "jobs/1");
  CHECK(service.calls == 2);
  CHECK(service.request_ids().size() == 1);
}

TEST_CASE("a CreateJob that is given up names its id") {
  FakeJobs service;
  service.on_call = [](grpc::ServerContext& context, int) { return Stall(context); };
  ServiceHost host(service);
  JobClient client(host.channel(), "the fake", Short());
  const auto job = client.CreateJob({}, {});
  CHECK(absl::IsDeadlineExceeded(job.status()));
  CHECK(ExitCodeFor(job.status()) == kUnavailable);
  REQUIRE(service.request_ids().size() == 1);
  CHECK(
      absl::StrContains(job.status().message(), "--request-id " + *service.request_ids().begin()));
}

TEST_CASE("a server that has answered is given the time of a restart") {
  FakeJobs service;
  const grpc::Status away(grpc::StatusCode::UNAVAILABLE, "Connection reset by peer");
  service.on_call = [&](grpc::ServerContext&, int call) {
    return call == 0 || call == 6 ? grpc::Status::OK : away;
  };
  ServiceHost host(service);
  std::vector<std::string> waits;
  Patience patience = Short();
  patience.restart = 8;
  patience.on_wait = [&](const std::string& why) { waits.push_back(why); };
  JobClient client(host.channel(), "the fake", patience);
  REQUIRE(client.CreateJob({}, {}).ok());
  CHECK(client.CreateJob({}, {}).ok());
  CHECK(service.calls == 7);
  CHECK(waits.size() == 1);
  v1::CreateJobRequest request;
  request.set_request_id("mine");
  const auto given_up = client.CreateJob(request, {});
  CHECK(absl::IsUnavailable(given_up.status()));
  CHECK(absl::StrContains(given_up.status().message(), "--request-id mine"));
  CHECK(service.calls == 15);

  JobClient stranger(host.channel(), "the fake", patience);
  CHECK_FALSE(absl::StrContains(stranger.CreateJob(request, {}).status().message(), "--request"));
  CHECK(service.calls == 18);
}

TEST_CASE("attempts that found nobody do not count against what a server says when it is back") {
  FakeJobs service;
  const grpc::Status away(grpc::StatusCode::UNAVAILABLE, "Connection reset by peer");
  service.on_call = [&](grpc::ServerContext&, int call) {
    if (call == 0 || call == 8) return grpc::Status(grpc::Status::OK);
    if (call < 3) return RpcError(grpc::StatusCode::UNAVAILABLE, "drains", "SERVER_DRAINING", 1);
    if (call < 6) return away;
    return RpcError(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue", "QUEUE_FULL", 1);
  };
  ServiceHost host(service);
  Patience patience = Short();
  patience.restart = 6;
  JobClient client(host.channel(), "the fake", patience);
  REQUIRE(client.CreateJob({}, {}).ok());
  CHECK(client.CreateJob({}, {}).ok());
  CHECK(service.calls == 9);
}

TEST_CASE("what may be queued is said, whatever came after") {
  FakeJobs service;
  service.on_call = [](grpc::ServerContext& context, int call) {
    if (call == 0) return Stall(context);
    return RpcError(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy", "SERVER_BUSY", 1);
  };
  ServiceHost host(service);
  JobClient client(host.channel(), "the fake", Short());
  v1::CreateJobRequest request;
  request.set_request_id("mine");
  const absl::Status late = client.CreateJob(request, {}).status();
  CHECK(absl::StrContains(late.message(), "--request-id mine"));
  CHECK(ExitCodeFor(late) == kUnavailable);
  service.on_call = [](grpc::ServerContext& context, int call) {
    if (call < 5) return Stall(context);
    return RpcError(grpc::StatusCode::INVALID_ARGUMENT, "no", "FIELD_INVALID");
  };
  service.calls = 4;
  CHECK_FALSE(absl::StrContains(client.CreateJob(request, {}).status().message(), "--request-id"));
}

TEST_CASE("a job of an earlier request is found, or was of another one") {
  FakeJobs service;
  ServiceHost host(service);
  JobClient client(host.channel(), "the fake", Short());
  const auto find = [&](const grpc::Status& status) {
    service.on_call = [=](grpc::ServerContext&, int) { return status; };
    return client.FindRequest({}, {});
  };
  REQUIRE(find(grpc::Status::OK).ok());
  CHECK(find(grpc::Status::OK)->value().name() == "jobs/1");
  const auto none = find(RpcError(grpc::StatusCode::NOT_FOUND, "no source", "NOT_FOUND", -1,
                                  {{"field", "job.source.artifact"}}));
  REQUIRE(none.ok());
  CHECK_FALSE(none->has_value());
  CHECK(absl::IsResourceExhausted(  // it has not looked
      find(RpcError(grpc::StatusCode::RESOURCE_EXHAUSTED, "busy", "SERVER_BUSY", 1)).status()));
  CHECK(absl::IsAlreadyExists(
      find(RpcError(grpc::StatusCode::ALREADY_EXISTS, "used", "REQUEST_ID_REUSED")).status()));
  CHECK(absl::IsUnavailable(
      find(grpc::Status(grpc::StatusCode::UNAVAILABLE, "Connection refused")).status()));
}

TEST_CASE("a full queue is asked again when the server says so, and is no full disk") {
  FakeJobs service;
  service.on_call = [](grpc::ServerContext&, int call) {
    return call < 2 ? RpcError(grpc::StatusCode::RESOURCE_EXHAUSTED, "queue", "QUEUE_FULL", 1000)
                    : grpc::Status::OK;
  };
  ServiceHost host(service);
  std::vector<std::string> waits;
  Patience patience = Short();
  patience.on_wait = [&](const std::string& why) { waits.push_back(why); };
  JobClient client(host.channel(), "the fake", patience);
  CHECK(client.CreateJob({}, {}).ok());
  CHECK(service.calls == 3);
  CHECK(waits.size() == 1);
  service.calls = -10;
  const auto refused = client.CreateJob({}, {});
  CHECK(service.calls == -7);
  CHECK(ExitCodeFor(refused.status()) == kUnavailable);
}

TEST_CASE("a full disk is not asked again") {
  FakeJobs service;
  service.on_call = [](grpc::ServerContext&, int) {
    return RpcError(grpc::StatusCode::RESOURCE_EXHAUSTED, "disk", "RESOURCE_EXHAUSTED");
  };
  ServiceHost host(service);
  JobClient client(host.channel(), "the fake", Short());
  CHECK(ExitCodeFor(client.CreateJob({}, {}).status()) == kStorage);
  CHECK(service.calls == 1);
}

TEST_CASE("before an upload only the source may be missing") {
  FakeJobs service;
  ServiceHost host(service);
  JobClient client(host.channel(), "the fake", Short());
  const auto check = [&](const std::string& reason, const std::string& field) {
    service.on_call = [=](grpc::ServerContext&, int) {
      return RpcError(grpc::StatusCode::NOT_FOUND, "not there", reason, -1, {{"field", field}});
    };
    return client.CheckBeforeUpload({}, {});
  };
  CHECK(check("NOT_FOUND", "job.source.artifact").ok());
  CHECK(absl::IsNotFound(check("NOT_FOUND", "job.destination.uri")));
  CHECK(absl::IsNotFound(check("S3_BUCKET_MISSING", "job.destination.uri")));
  service.on_call = [](grpc::ServerContext&, int) { return grpc::Status::OK; };
  CHECK(client.CheckBeforeUpload({}, {}).ok());
}

v1::JobEvent Event(int64_t sequence, v1::JobState state) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.set_state(state);
  return event;
}

TEST_CASE("a watch on which nothing comes is carried on where it was") {
  FakeJobs service;
  service.on_watch = [](grpc::ServerContext& context, grpc::ServerWriter<v1::JobEvent>& writer,
                        int64_t after) {
    if (after == 0) {
      writer.Write(Event(1, v1::JOB_STATE_RUNNING));
      return Stall(context);
    }
    writer.Write(Event(after + 1, v1::JOB_STATE_SUCCEEDED));
    return grpc::Status::OK;
  };
  ServiceHost host(service);
  JobClient client(host.channel(), "the fake", Short());
  std::vector<int64_t> seen;
  const absl::Status status = client.WatchJob(
      "jobs/1", {}, [&](const v1::JobEvent& event) { seen.push_back(event.sequence()); });
  CHECK(status.ok());
  CHECK(seen == std::vector<int64_t>{1, 2});
  CHECK(service.calls == 2);
}

TEST_CASE("a watch on which nothing ever comes ends, naming the server") {
  FakeJobs service;
  service.on_watch = [](grpc::ServerContext& context, grpc::ServerWriter<v1::JobEvent>&, int64_t) {
    return Stall(context);
  };
  ServiceHost host(service);
  Patience patience = Short();
  patience.silence = milliseconds(20);
  JobClient client(host.channel(), "the fake", patience);
  std::vector<std::string> told;
  const auto start = steady_clock::now();
  const absl::Status status =
      client.WatchJob("jobs/1", {}, [](const v1::JobEvent&) {},
                      {.patience = milliseconds(300),
                       .tell = [&](const std::string& line) { told.push_back(line); }});
  CHECK(absl::IsUnavailable(status));
  CHECK(status.message() ==
        "the fake: sends nothing any more; given up after 1 s: jobs/1 goes on where its server "
        "runs, and seedlm watch jobs/1 follows it again");
  CHECK(steady_clock::now() - start >= milliseconds(300));
  CHECK(service.calls > 1);
  REQUIRE(told.size() == 1);
  CHECK(absl::StrContains(told[0], "lost the server"));
  CHECK(absl::StrContains(told[0], "the fake"));
  CHECK_FALSE(absl::StrContains(told[0], "watch"));  // it is being done
}

TEST_CASE("a watch says once that its server is lost, however often it asks, and that it is back") {
  FakeJobs service;
  service.on_watch = [&](grpc::ServerContext&, grpc::ServerWriter<v1::JobEvent>& writer, int64_t) {
    if (service.calls < 20) return RpcError(grpc::StatusCode::UNAVAILABLE, "away", "");
    writer.Write(Event(1, v1::JOB_STATE_SUCCEEDED));
    return grpc::Status::OK;
  };
  ServiceHost host(service);
  Patience patience = Short();
  patience.stream.max_delay = milliseconds(2);
  JobClient client(host.channel(), "the fake", patience);
  std::vector<std::string> told;
  CHECK(client
            .WatchJob("jobs/1", {}, [](const v1::JobEvent&) {},
                      {.tell = [&](const std::string& line) { told.push_back(line); }})
            .ok());
  REQUIRE(told.size() == 2);
  CHECK(absl::StrContains(told[0], "trying again for 300 s"));
  CHECK(told[1] == "the fake is back");
}

}  // namespace
}  // namespace seedlm::client
