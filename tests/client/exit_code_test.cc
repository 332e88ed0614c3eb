#include "client/exit_code.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/rpc_status.h"
#include "google/rpc/status.pb.h"
#include "kernels/format/atomic_file.h"
#include "server/rpc/status_mapping.h"
#include "tests/client/fake_services.h"

namespace seedlm::client {
namespace {

using Code = absl::StatusCode;

TEST_CASE("every status code has its exit code") {
  const std::pair<Code, int> rows[] = {
      {Code::kOk, 0},
      {Code::kInvalidArgument, 3},
      {Code::kFailedPrecondition, 3},
      {Code::kOutOfRange, 3},
      {Code::kUnimplemented, 3},
      {Code::kNotFound, 4},
      {Code::kAlreadyExists, 5},
      {Code::kUnavailable, 6},
      {Code::kDeadlineExceeded, 6},
      {Code::kAborted, 6},
      {Code::kPermissionDenied, 7},
      {Code::kUnauthenticated, 9},
      {Code::kResourceExhausted, 7},
      {Code::kDataLoss, 7},
      {Code::kCancelled, 8},
      {Code::kInternal, 70},
      {Code::kUnknown, 70},
  };
  for (const auto& [code, expected] : rows) {
    CAPTURE(static_cast<int>(code));
    CHECK(ExitCodeFor(absl::Status(code, "x")) == expected);
  }
}

TEST_CASE("a failed job without a telling code is a failed check") {
  CHECK(ExitCodeForFailedJob(absl::Status(Code::kOk, "x")) == kCheckFailed);
  CHECK(ExitCodeForFailedJob(absl::Status(Code::kUnknown, "x")) == kCheckFailed);
  CHECK(ExitCodeForFailedJob(absl::Status(Code::kInvalidArgument, "x")) == kInvalidInput);
  CHECK(ExitCodeForFailedJob(absl::Status(Code::kResourceExhausted, "x")) == kStorage);
  CHECK(ExitCodeForFailedJob(absl::Status(Code::kInternal, "x")) == kInternal);
}

TEST_CASE("a busy server is no full disk, and a failed read is no defect") {
  const absl::Status full = absl::ResourceExhaustedError("queue");
  CHECK(ExitCodeFor(full) == kStorage);
  CHECK(ExitCodeFor(WithRetryAfter(full, std::chrono::milliseconds(1000))) == kUnavailable);
  CHECK(ExitCodeFor(format::ErrnoToStatus(EIO, "/d/f", "read")) == kStorage);
  CHECK(ExitCodeFor(format::ErrnoToStatus(ESTALE, "/d/f", "write")) == kStorage);
  // The cause says so, on the server's side too, and not the words.
  CHECK(ExitCodeFor(absl::InternalError("/d/f: cannot be told apart")) == kInternal);
  const google::rpc::Status sent =
      server::ToProtoStatus(format::ErrnoToStatus(EIO, "/d/f", "read"));
  CHECK(ExitCodeFor(FromProto(sent, "jobs/1")) == kStorage);
}

TEST_CASE("a job that has changed is no busy server") {
  const grpc::Status stale =
      RpcError(grpc::StatusCode::ABORTED, "jobs/1 is RUNNING by now", "ETAG_MISMATCH");
  CHECK(ExitCodeFor(FromRpc(stale, "s")) == kInvalidInput);
}

TEST_CASE("a damaged database is no invalid input") {
  const grpc::Status damaged =
      RpcError(grpc::StatusCode::FAILED_PRECONDITION, "jobs.sqlite is damaged", "STORE_DAMAGED");
  CHECK(ExitCodeFor(FromRpc(damaged, "s")) == kStorage);
}

TEST_CASE("help lists every exit code") {
  const std::string help(kExitCodesHelp);
  for (const int code : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 70, 130}) {
    CAPTURE(code);
    CHECK(absl::StrContains(help, absl::StrCat("\n  ", code, " ")));
  }
}

}  // namespace
}  // namespace seedlm::client
