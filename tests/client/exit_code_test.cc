#include "client/exit_code.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

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
      {Code::kUnauthenticated, 7},
      {Code::kResourceExhausted, 7},
      {Code::kDataLoss, 7},
      {Code::kCancelled, 8},
      {Code::kInternal, 70},
      {Code::kUnknown, 70},
  };
  for (const auto& [code, expected] : rows) {
    CAPTURE(static_cast<int>(code));
    CHECK(ExitCodeFor(code) == expected);
  }
}

TEST_CASE("a failed job without a telling code is a failed check") {
  CHECK(ExitCodeForFailedJob(Code::kOk) == kCheckFailed);
  CHECK(ExitCodeForFailedJob(Code::kUnknown) == kCheckFailed);
  CHECK(ExitCodeForFailedJob(Code::kInvalidArgument) == kInvalidInput);
  CHECK(ExitCodeForFailedJob(Code::kResourceExhausted) == kStorage);
  CHECK(ExitCodeForFailedJob(Code::kInternal) == kInternal);
}

TEST_CASE("help lists every exit code") {
  const std::string help(kExitCodesHelp);
  for (const int code : {0, 1, 2, 3, 4, 5, 6, 7, 8, 70, 130}) {
    CAPTURE(code);
    CHECK(absl::StrContains(help, absl::StrCat("\n  ", code, " ")));
  }
}

}  // namespace
}  // namespace seedlm::client
