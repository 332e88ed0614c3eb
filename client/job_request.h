// Paths of the command line, as a request names them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/spec_options.h"
#include "seedlm/v1/compression_service.pb.h"

namespace seedlm::client {

// The absolute path of an input. NOT_FOUND if there is none.
absl::StatusOr<std::string> InputPath(const std::string& path);

// Percent-encoded where a URI needs it.
std::string FileUri(const std::string& absolute_path);

// The path in a file:// URI, decoded.
std::string PathOfUri(const std::string& uri);

// "ID" and "jobs/ID" both name a job.
std::string JobName(const std::string& given);

}  // namespace seedlm::client
