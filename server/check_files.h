// What a start makes of the files that its settings name, without a start.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/config.h"

namespace seedlm::server {

// Opens certificates, keys, tokens, S3 credentials, storage roots and the backend, looks whether
// the data directory and the directories of Unix sockets can be written to, and changes nothing.
// The answer is what Server::Start would warn of. Errors: its own, of these and of CheckOptions.
// What depends on the moment (addresses, who holds the data directory, room) is not looked at.
absl::StatusOr<std::vector<std::string>> CheckFiles(const ServerOptions& options);

}  // namespace seedlm::server
