// The keys of S3 from a file, as the tools of AWS keep them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/storage/s3/signature_v4.h"

namespace seedlm::server {

// The keys of `profile` in a text of the form
//
//   [default]
//   aws_access_key_id = ..
//   aws_secret_access_key = ..
//   aws_session_token = ..        (temporary keys only)
//
// Lines that begin with # or ; are comments, other names are left alone; of a name that is there
// twice the last counts. Errors, which show nothing of the text: INVALID_ARGUMENT "FILE:LINE: .."
// for a line that is none of these, "FILE: .." for a profile that is missing or lacks a key.
absl::StatusOr<s3::Credentials> ParseS3Credentials(std::string_view text, std::string_view profile,
                                                   std::string_view file);

// The same of a file of at most 1 MiB. Also NOT_FOUND, PERMISSION_DENIED; FAILED_PRECONDITION where
// others than its owner and a group may read it, or others than its owner change it.
absl::StatusOr<s3::Credentials> ReadS3Credentials(const std::string& file,
                                                  std::string_view profile);

}  // namespace seedlm::server
