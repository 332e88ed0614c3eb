#include "client/way_out.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "absl/strings/match.h"
#include "client/rpc_status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {
namespace {

absl::Status WithReason(absl::StatusCode code, const std::string& reason) {
  google::rpc::Status status;
  status.set_code(static_cast<int>(code));
  status.set_message("what is wrong");
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  status.add_details()->PackFrom(info);
  return FromProto(status, "jobs/1");
}

TEST_CASE("every code has a way out") {
  for (int code = 1; code <= 16; ++code) {
    CAPTURE(code);
    const std::string line = WithWayOut(absl::Status(static_cast<absl::StatusCode>(code), "x"));
    CHECK(absl::StartsWith(line, "x; "));
    CHECK(line.size() > 5);
  }
}

TEST_CASE("a message with a way out keeps it") {
  CHECK(WithWayOut(absl::NotFoundError("x: no such file; check the path")) ==
        "x: no such file; check the path");
}

TEST_CASE("what has an option is told by its option") {
  CHECK(WithWayOut(absl::AlreadyExistsError(
            "s3://b/o: already exists; choose another prefix, or ask for it to be overwritten")) ==
        "s3://b/o: already exists; choose another prefix, or use --force");
  CHECK(absl::StrContains(
      WithWayOut(absl::InvalidArgumentError("m: nothing to compress: it has no tensors")),
      "it has no tensors; name others with --include"));
  CHECK(absl::StrContains(
      WithWayOut(absl::FailedPreconditionError("jobs/1 has SUCCEEDED: there is nothing to resume")),
      "; see seedlm fetch"));
}

TEST_CASE("the reason and the text say more than the code") {
  CHECK(absl::StrContains(
      WithWayOut(WithReason(absl::StatusCode::kInvalidArgument, "WEIGHT_NOT_FINITE")),
      "; repair the tensor, or leave it out with --exclude"));
  CHECK(absl::StrContains(
      WithWayOut(WithReason(absl::StatusCode::kResourceExhausted, "QUEUE_FULL")), "later"));
  CHECK(absl::StrContains(WithWayOut(absl::ResourceExhaustedError("/d: No space left on device")),
                          "; free some space"));
  CHECK(absl::StrContains(WithWayOut(format::ErrnoToStatus(EIO, "/d/f", "read")),
                          "; check the disk"));
  CHECK(absl::StrContains(WithWayOut(absl::InternalError("oops")), "; this is a defect"));
  const std::string index = "/d/model.safetensors.index.json: tensor 'w'";
  CHECK(WithWayOut(absl::InvalidArgumentError(index + ": its file 'a.safetensors' is missing")) ==
        index +
            ": its file 'a.safetensors' is missing; download that file too, or correct the "
            "index");
}

}  // namespace
}  // namespace seedlm::client
