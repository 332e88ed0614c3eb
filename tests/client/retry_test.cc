#include "client/retry.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <vector>

#include "client/rpc_status.h"
#include "tests/client/fake_services.h"
#include "tests/client/scratch_directory.h"

namespace seedlm::client {
namespace {

using std::chrono::milliseconds;
using Code = absl::StatusCode;

absl::Status Of(Code code) { return absl::Status(code, "x"); }

std::shared_ptr<grpc::Channel> ToNobody() {
  return grpc::CreateChannel("unix:/nonexistent/socket", grpc::InsecureChannelCredentials());
}

TEST_CASE("only calls that nothing came of are repeated") {
  for (const Code code : {Code::kUnavailable, Code::kAborted}) {
    CAPTURE(static_cast<int>(code));
    CHECK(IsRetryable(Of(code)));
  }
  for (const Code code :
       {Code::kOk, Code::kCancelled, Code::kUnknown, Code::kInvalidArgument,
        Code::kDeadlineExceeded, Code::kNotFound, Code::kAlreadyExists, Code::kPermissionDenied,
        Code::kResourceExhausted, Code::kFailedPrecondition, Code::kOutOfRange,
        Code::kUnimplemented, Code::kInternal, Code::kDataLoss, Code::kUnauthenticated}) {
    CAPTURE(static_cast<int>(code));
    CHECK_FALSE(IsRetryable(Of(code)));
  }
}

TEST_CASE("an etag that was wrong stays wrong") {
  CHECK_FALSE(IsRetryable(FromRpc(
      RpcError(grpc::StatusCode::ABORTED, "jobs/1 is RUNNING by now", "ETAG_MISMATCH"), "s")));
  CHECK(IsRetryable(
      FromRpc(RpcError(grpc::StatusCode::ABORTED, "another stream", "UPLOAD_BUSY"), "s")));
}

TEST_CASE("delays grow, are capped, jittered and bounded in number") {
  const RetryPolicy policy{.max_attempts = 5,
                           .first_delay = milliseconds(100),
                           .max_delay = milliseconds(500),
                           .multiplier = 2,
                           .jitter = 0.25};
  struct Row {
    Code code;
    int failed_attempts;
    double uniform;
    std::optional<milliseconds> delay;
  };
  const std::vector<Row> rows = {
      {Code::kUnavailable, 1, 0.5, milliseconds(100)},
      {Code::kUnavailable, 1, 0.0, milliseconds(75)},
      {Code::kUnavailable, 1, 1.0, milliseconds(125)},
      {Code::kUnavailable, 2, 0.5, milliseconds(200)},
      {Code::kAborted, 3, 0.5, milliseconds(400)},
      {Code::kUnavailable, 4, 0.5, milliseconds(500)},  // 800, capped
      {Code::kUnavailable, 4, 1.0, milliseconds(625)},  // the jitter comes after the cap
      {Code::kUnavailable, 5, 0.5, std::nullopt},       // the fifth attempt was the last
      {Code::kUnavailable, 6, 0.5, std::nullopt},
      {Code::kInternal, 1, 0.5, std::nullopt},
      {Code::kNotFound, 1, 0.5, std::nullopt},
  };
  for (const Row& row : rows) {
    CAPTURE(static_cast<int>(row.code), row.failed_attempts, row.uniform);
    CHECK(NextDelay(policy, Of(row.code), row.failed_attempts, row.uniform) == row.delay);
  }
}

TEST_CASE("the server's RetryInfo makes a code retryable and sets the delay") {
  const RetryPolicy policy{.max_attempts = 3, .jitter = 0.25};
  const absl::Status busy = WithRetryAfter(Of(Code::kResourceExhausted), milliseconds(2000));
  CHECK(IsRetryable(busy));
  CHECK(NextDelay(policy, busy, 1, 0.0) == milliseconds(2000));
  CHECK(NextDelay(policy, busy, 2, 1.0) == milliseconds(2500));  // never sooner than asked
  CHECK(NextDelay(policy, busy, 3, 0.0) == std::nullopt);
  const absl::Status patient = WithRetryAfter(Of(Code::kUnavailable), milliseconds(3'600'000));
  CHECK(NextDelay(policy, patient, 1, 0.0) == milliseconds(60'000));
  const absl::Status hostile = WithRetryAfter(Of(Code::kUnavailable), milliseconds(-5));
  CHECK(NextDelay(policy, hostile, 1, 0.0) == milliseconds(0));
}

TEST_CASE("a huge number of attempts does not overflow the delay") {
  const RetryPolicy policy{.max_attempts = 1'000'000};
  CHECK(NextDelay(policy, Of(Code::kUnavailable), 5'000, 0.5) == policy.max_delay);
}

TEST_CASE("Retry stops at success, at a final error, and at the bound") {
  const RetryPolicy quick{.max_attempts = 3, .first_delay = milliseconds(1)};
  const auto channel = ToNobody();
  int calls = 0;
  CHECK(Retry(quick, *channel, {}, [&] {
          return ++calls < 2 ? absl::UnavailableError("not yet") : absl::OkStatus();
        }).ok());
  CHECK(calls == 2);
  calls = 0;
  CHECK(absl::IsNotFound(Retry(quick, *channel, {}, [&] {
    ++calls;
    return absl::NotFoundError("no");
  })));
  CHECK(calls == 1);
  calls = 0;
  CHECK(absl::IsUnavailable(Retry(quick, *channel, {}, [&] {
    ++calls;
    return absl::UnavailableError("never");
  })));
  CHECK(calls == 3);
}

TEST_CASE("a stop ends the pause") {
  std::stop_source stop;
  stop.request_stop();
  int calls = 0;
  const auto channel = ToNobody();
  const RetryPolicy slow{.max_attempts = 3,
                         .first_delay = milliseconds(3'600'000),
                         .max_delay = milliseconds(3'600'000)};
  CHECK(absl::IsUnavailable(Retry(slow, *channel, stop.get_token(), [&] {
    ++calls;
    return absl::UnavailableError("never");
  })));
  CHECK(calls == 1);
}

TEST_CASE("a stop in the middle of the pause ends it, whatever the channel") {
  FakeArtifacts service;
  ServiceHost host(service);
  for (const auto& channel : {ToNobody(), host.channel()}) {
    std::stop_source stop;
    const std::jthread stopper([&] {
      std::this_thread::sleep_for(milliseconds(20));
      stop.request_stop();
    });
    CHECK_FALSE(PauseUnlessStopped(*channel, milliseconds(3'600'000), stop.get_token()));
    CHECK(PauseUnlessStopped(*channel, milliseconds(1), {}));
  }
}

TEST_CASE("a pause ends when the connection is there") {
  FakeArtifacts service;
  const ScratchDirectory scratch;
  const std::string address = "unix:" + scratch / "socket";
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  CHECK(PauseUnlessStopped(*channel, milliseconds(10), {}));
  ServiceHost host(service, address);
  CHECK(PauseUnlessStopped(*channel, milliseconds(3'600'000), {}));
}

TEST_CASE("random numbers lie in [0, 1)") {
  for (int i = 0; i < 1000; ++i) {
    const double value = UniformRandom();
    REQUIRE(value >= 0);
    REQUIRE(value < 1);
  }
}

}  // namespace
}  // namespace seedlm::client
