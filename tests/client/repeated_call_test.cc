// Calls that change a job and are sent again because their answer was lost.
#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "client/exit_code.h"
#include "client/job_client.h"
#include "client/rpc_status.h"
#include "tests/client/fake_services.h"

namespace seedlm::client {
namespace {

using std::chrono::milliseconds;

// A job whose first change is heard, or not, and never answered.
class LosingService : public v1::CompressionService::Service {
 public:
  v1::JobState state = v1::JOB_STATE_RUNNING;
  std::string etag = "2";
  bool hears_the_first = true;
  bool says_why = false;  // the first answer is the server's own
  v1::JobState somebody_makes_it = v1::JOB_STATE_UNSPECIFIED;  // before the second call
  bool is_there = true;
  int calls = 0;

  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::Job* job) override {
    return Answer(request->etag(), v1::JOB_STATE_CANCELLED, job);
  }
  grpc::Status ResumeJob(grpc::ServerContext*, const v1::ResumeJobRequest* request,
                         v1::Job* job) override {
    return Answer(request->etag(), v1::JOB_STATE_QUEUED, job);
  }
  grpc::Status DeleteJob(grpc::ServerContext*, const v1::DeleteJobRequest*,
                         google::protobuf::Empty*) override {
    if (++calls > 1 || hears_the_first) {
      if (!std::exchange(is_there, false)) {
        return RpcError(grpc::StatusCode::NOT_FOUND, "no job named 'jobs/1'", "NOT_FOUND");
      }
    }
    return calls == 1 ? Lost() : grpc::Status::OK;
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest*, v1::Job* job) override {
    return Tell(job);
  }

 private:
  grpc::Status Lost() const {
    return says_why ? RpcError(grpc::StatusCode::UNAVAILABLE, "busy", "STORE_BUSY")
                    : grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
  }
  grpc::Status Tell(v1::Job* job) const {
    job->set_name("jobs/1");
    job->set_state(state);
    job->set_etag(etag);
    return grpc::Status::OK;
  }
  void Become(v1::JobState to) {
    state = to;
    etag += "+";
  }
  grpc::Status Answer(const std::string& wanted, v1::JobState to, v1::Job* job) {
    if (++calls == 1) {
      if (hears_the_first) Become(to);
      return Lost();
    }
    if (somebody_makes_it != v1::JOB_STATE_UNSPECIFIED) Become(somebody_makes_it);
    if (wanted != etag) {
      return RpcError(grpc::StatusCode::ABORTED, "jobs/1 has changed", "ETAG_MISMATCH");
    }
    Become(to);
    return Tell(job);
  }
};

struct RepeatedCalls {
  LosingService service;
  ServiceHost host{service};
  JobClient client{
      host.channel(), "the fake", {.unary = {.max_attempts = 3, .first_delay = milliseconds(1)}}};
};

TEST_CASE_METHOD(RepeatedCalls, "what the first call did, whose answer was lost, is done") {
  SECTION("cancel") {
    const auto job = client.CancelJob("jobs/1", "2", {});
    REQUIRE(job.ok());
    CHECK(job->state() == v1::JOB_STATE_CANCELLED);
  }
  SECTION("resume, and the job waits, runs or has come to its end") {
    service.state = v1::JOB_STATE_CANCELLED;
    service.somebody_makes_it =
        GENERATE(v1::JOB_STATE_UNSPECIFIED, v1::JOB_STATE_RUNNING, v1::JOB_STATE_SUCCEEDED);
    const auto job = client.ResumeJob("jobs/1", "2", {});
    REQUIRE(job.ok());
    CHECK(job->state() == service.state);
  }
  SECTION("delete") { CHECK(client.DeleteJob("jobs/1", "2", {}).ok()); }
  CHECK(service.calls == 2);
}

TEST_CASE_METHOD(RepeatedCalls, "a first call that was not heard is made up for by the second") {
  service.hears_the_first = false;
  const auto job = client.CancelJob("jobs/1", "2", {});
  REQUIRE(job.ok());
  CHECK(job->state() == v1::JOB_STATE_CANCELLED);
}

TEST_CASE_METHOD(RepeatedCalls, "a job that is not as it was to be is told, with the doubt") {
  const auto check = [](const absl::StatusOr<v1::Job>& job) {
    CHECK(absl::IsAborted(job.status()));
    CHECK(ErrorReason(job.status()) == "ETAG_MISMATCH");
    CHECK(ExitCodeFor(job.status()) == kInvalidInput);
    CHECK(absl::StrContains(job.status().message(), "its answer was lost"));
  };
  SECTION("it had succeeded before it could be cancelled") {
    service.hears_the_first = false;
    service.somebody_makes_it = v1::JOB_STATE_SUCCEEDED;
    check(client.CancelJob("jobs/1", "2", {}));
  }
  SECTION("it was resumed by somebody after it was cancelled") {
    service.somebody_makes_it = v1::JOB_STATE_QUEUED;
    check(client.CancelJob("jobs/1", "2", {}));
  }
  SECTION("it failed again after it was resumed") {
    service.state = v1::JOB_STATE_FAILED;
    service.somebody_makes_it = v1::JOB_STATE_FAILED;
    check(client.ResumeJob("jobs/1", "2", {}));
  }
}

TEST_CASE_METHOD(RepeatedCalls, "a server that says why it did nothing leaves no doubt") {
  service.hears_the_first = false;
  service.says_why = true;
  SECTION("an etag that is wrong stays an error, whatever became of the job") {
    service.somebody_makes_it = v1::JOB_STATE_CANCELLED;
    const auto job = client.CancelJob("jobs/1", "2", {});
    CHECK(ErrorReason(job.status()) == "ETAG_MISMATCH");
    CHECK_FALSE(absl::StrContains(job.status().message(), "lost"));
  }
  SECTION("a job that is not there was not deleted") {
    service.is_there = false;
    CHECK(absl::IsNotFound(client.DeleteJob("jobs/1", "", {})));
  }
}

TEST_CASE_METHOD(RepeatedCalls, "an etag that is wrong at the first call is an error") {
  service.calls = 1;  // as if
  service.somebody_makes_it = v1::JOB_STATE_CANCELLED;
  const auto job = client.CancelJob("jobs/1", "2", {});
  CHECK(ErrorReason(job.status()) == "ETAG_MISMATCH");
}

}  // namespace
}  // namespace seedlm::client
