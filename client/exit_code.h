// What the process tells its caller. Scripts rely on these numbers.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace seedlm::client {

enum ExitCode : int {
  kOk = 0,
  kCheckFailed = 1,    // verify, inspect: damage; or a job FAILED without a better code
  kUsage = 2,          // the command line is wrong
  kInvalidInput = 3,   // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED;
                       // ABORTED because of the etag
  kNotFound = 4,       // NOT_FOUND
  kAlreadyExists = 5,  // ALREADY_EXISTS
  kUnavailable = 6,    // UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED; RESOURCE_EXHAUSTED with RetryInfo
  kStorage = 7,  // PERMISSION_DENIED, RESOURCE_EXHAUSTED, DATA_LOSS; a system call that failed for
                 // another reason (EIO)
  kCancelled = 8,      // CANCELLED: the job was cancelled by somebody else
  kNotLetIn = 9,       // UNAUTHENTICATED; PERMISSION_DENIED because of the role
  kInternal = 70,      // INTERNAL, UNKNOWN: a defect
  kInterrupted = 130,  // SIGINT or SIGTERM
};

// The table above, for --help.
extern const std::string_view kExitCodesHelp;

ExitCode ExitCodeFor(const absl::Status& status);

// For a job that ended FAILED with this error: as ExitCodeFor, but kCheckFailed where the code says
// nothing (OK, UNKNOWN).
ExitCode ExitCodeForFailedJob(const absl::Status& status);

// Whether an INTERNAL status is a file operation that failed, here or on the server (reason
// IO_FAILED), not a defect.
bool IsFailedSystemCall(const absl::Status& status);

}  // namespace seedlm::client
