// What a start makes of the files that its settings name, without a start.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/config.h"

namespace seedlm::server {

struct FilesCheck {
  std::vector<absl::Status> faults;   // of which Server::Start would tell the first
  std::vector<std::string> warnings;  // what it would warn of
};

// Opens certificates, keys, tokens, S3 credentials, storage roots and the backend, looks whether
// the data directory and the directories of Unix sockets can be written to, and leaves everything
// as it was. Faults: the errors of these, and those of FaultsOf.
// What depends on the moment (addresses, who holds the data directory, room) is not looked at.
FilesCheck CheckFiles(const ServerOptions& options);

}  // namespace seedlm::server
