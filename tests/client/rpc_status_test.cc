#include "client/rpc_status.h"

#include <grpcpp/support/status.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "client/exit_code.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace seedlm::client {
namespace {

google::rpc::Status WithInfo(const std::string& reason) {
  google::rpc::Status status;
  google::rpc::ErrorInfo info;
  info.set_domain("seedlm");
  info.set_reason(reason);
  status.add_details()->PackFrom(info);
  return status;
}

TEST_CASE("a server that is not there is named, with the way out") {
  const absl::Status status =
      FromRpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection refused"), "127.0.0.1:1");
  CHECK(absl::IsUnavailable(status));
  CHECK(absl::StartsWith(status.message(), "cannot reach 127.0.0.1:1: connection refused; start"));
  const grpc::Status long_winded(
      grpc::StatusCode::UNAVAILABLE,
      "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to "
      "connect to remote host: Connection refused");
  CHECK(absl::StartsWith(FromRpc(long_winded, "127.0.0.1:1").message(),
                         "cannot reach 127.0.0.1:1: Connection refused; start"));
}

TEST_CASE(
    "a socket that one may not write to is a door that is closed, not a server that is away") {
  const absl::Status status = FromRpc(
      grpc::Status(grpc::StatusCode::UNAVAILABLE,
                   "failed to connect to all addresses; last error: UNKNOWN: unix:/s: Permission "
                   "denied"),
      "unix:/s");
  CHECK(ExitCodeFor(status) == kNotLetIn);
  CHECK(absl::StartsWith(status.message(), "cannot reach unix:/s: Permission denied; "));
}

TEST_CASE("a server's own words are kept, with the reason") {
  const grpc::Status rpc(grpc::StatusCode::UNAVAILABLE, "the server is draining; try later",
                         WithInfo("DRAINING").SerializeAsString());
  const absl::Status status = FromRpc(rpc, "127.0.0.1:1");
  CHECK(status.message() == "the server is draining; try later");
  CHECK(ErrorReason(status) == "DRAINING");
}

TEST_CASE("RetryInfo comes along, within reason") {
  google::rpc::Status status = WithInfo("QUEUE_FULL");
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(2);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  status.add_details()->PackFrom(retry);
  const grpc::Status rpc(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", status.SerializeAsString());
  CHECK(RetryAfter(FromRpc(rpc, "a")) == std::chrono::milliseconds(2500));
  CHECK(ErrorReason(FromRpc(rpc, "a")) == "QUEUE_FULL");
  CHECK_FALSE(RetryAfter(absl::ResourceExhaustedError("full")).has_value());
  retry.mutable_retry_delay()->set_seconds(INT64_MAX);
  status.add_details()->PackFrom(retry);
  const grpc::Status hostile(grpc::StatusCode::UNAVAILABLE, "x", status.SerializeAsString());
  CHECK(RetryAfter(FromRpc(hostile, "a"))->count() > 0);
}

TEST_CASE("what is wrong with a token is told with the server and the variable") {
  const auto told = [](grpc::StatusCode code, const std::string& reason) {
    const absl::Status status =
        FromRpc(grpc::Status(code, "its words", WithInfo(reason).SerializeAsString()), "gpu:7433");
    CHECK(ErrorReason(status) == reason);
    return std::string(status.message());
  };
  CHECK(told(grpc::StatusCode::UNAUTHENTICATED, "TOKEN_MISSING") ==
        "gpu:7433: wants a token, and none was sent; set SEEDLM_TOKEN to yours");
  CHECK(told(grpc::StatusCode::UNAUTHENTICATED, "TOKEN_INVALID") ==
        "gpu:7433: does not know the token in SEEDLM_TOKEN; set it to one that the server's "
        "--tokens file lists");
  CHECK(told(grpc::StatusCode::PERMISSION_DENIED, "ROLE_FORBIDS") ==
        "gpu:7433: its words; set SEEDLM_TOKEN to a token of another role");
}

TEST_CASE("details that are not a status are no reason") {
  const grpc::Status rpc(grpc::StatusCode::NOT_FOUND, "jobs/x: no such job", "\xFF\xFF garbage");
  const absl::Status status = FromRpc(rpc, "a");
  CHECK(absl::IsNotFound(status));
  CHECK(ErrorReason(status).empty());
}

TEST_CASE("a call that gRPC cancels because the server ends is no job that was cancelled") {
  const absl::Status cut = FromRpc(grpc::Status(grpc::StatusCode::CANCELLED, "CANCELLED"), "a:1");
  CHECK(absl::IsUnavailable(cut));
  CHECK(absl::StartsWith(cut.message(), "a:1: "));
  google::rpc::Status details = WithInfo("JOB_CANCELLED");
  details.set_code(static_cast<int>(grpc::StatusCode::CANCELLED));
  const grpc::Status answered(grpc::StatusCode::CANCELLED, "jobs/1: was cancelled",
                              details.SerializeAsString());
  CHECK(absl::IsCancelled(FromRpc(answered, "a:1")));
}

TEST_CASE("OK stays OK") { CHECK(FromRpc(grpc::Status::OK, "a").ok()); }

TEST_CASE("a job's error names the job; a job that failed with OK has failed") {
  google::rpc::Status error = WithInfo("WEIGHT_NOT_FINITE");
  error.set_code(3);
  error.set_message("tensor 'w': row 1, column 2: NaN");
  const absl::Status status = FromProto(error, "jobs/1");
  CHECK(absl::IsInvalidArgument(status));
  CHECK(status.message() == "jobs/1: tensor 'w': row 1, column 2: NaN");
  CHECK(ErrorReason(status) == "WEIGHT_NOT_FINITE");
  error.set_code(0);
  CHECK(absl::IsUnknown(FromProto(error, "jobs/1")));
}

}  // namespace
}  // namespace seedlm::client
