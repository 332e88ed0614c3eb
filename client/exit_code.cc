#include "client/exit_code.h"

#include "client/rpc_status.h"
#include "kernels/format/file_io.h"

namespace seedlm::client {

const std::string_view kExitCodesHelp =
    "Exit codes:\n"
    "  0    done\n"
    "  1    the check failed (verify), or the job failed without a better code\n"
    "  2    wrong command line\n"
    "  3    invalid input: a damaged or unsuitable file, an option that cannot be met, a job that "
    "has another etag by now\n"
    "  4    not found: a file, a directory, a job\n"
    "  5    the output exists already\n"
    "  6    the server cannot be reached, did not answer in time, or is busy; another compress "
    "writes OUT\n"
    "  7    storage: permission denied, disk full, read or write error, data damaged on the way\n"
    "  8    the job was cancelled\n"
    "  9    not let in: no valid token, a role that may not, a certificate that is not believed, "
    "TLS on one side only\n"
    "  70   a defect in seedlm\n"
    "  130  interrupted\n";

ExitCode ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return kInvalidInput;
    case absl::StatusCode::kFailedPrecondition:
      return ErrorReason(status) == "STORE_DAMAGED" ? kStorage : kInvalidInput;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kAlreadyExists:
      return kAlreadyExists;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kUnavailable;
    case absl::StatusCode::kAborted:
      return ErrorReason(status) == "ETAG_MISMATCH" ? kInvalidInput : kUnavailable;
    case absl::StatusCode::kUnauthenticated:
      return kNotLetIn;
    case absl::StatusCode::kPermissionDenied:
      return ErrorReason(status) == "ROLE_FORBIDS" ? kNotLetIn : kStorage;
    case absl::StatusCode::kDataLoss:
      return kStorage;
    case absl::StatusCode::kResourceExhausted:
      return RetryAfter(status) ? kUnavailable : kStorage;
    case absl::StatusCode::kCancelled:
      return kCancelled;
    default:
      return IsFailedSystemCall(status) ? kStorage : kInternal;
  }
}

ExitCode ExitCodeForFailedJob(const absl::Status& status) {
  if (status.ok() || absl::IsUnknown(status)) return kCheckFailed;
  return ExitCodeFor(status);
}

bool IsFailedSystemCall(const absl::Status& status) {
  return absl::IsInternal(status) && ErrorReason(status) == format::kIoFailed;
}

}  // namespace seedlm::client
