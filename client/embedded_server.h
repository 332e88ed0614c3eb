// A server in the client's process, for work without --server: the same rpcs, the same code. The
// only file of the client, with its .cc, that knows the server.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace grpc {
class Channel;
}

namespace seedlm::client {

// Runs until it is destroyed; then its data directory is removed. That lies in the system's
// temporary directory, never beside an output: SQLite needs a file system with locks, and NFS has
// none to rely on. It stays small: outputs are built where they will be. Reads and writes file://
// URIs anywhere on this machine, as the user may.
class EmbeddedServer {
 public:
  struct Options {
    int threads = 0;                          // workers of every backend; 0: one a core
    int64_t index_memory = int64_t{1} << 30;  // as the server's --index-memory
    bool index_cache = false;                 // keep the index in the user's cache directory
  };
  static absl::StatusOr<std::unique_ptr<EmbeddedServer>> Start(const Options& options);
  virtual ~EmbeddedServer() = default;

  virtual std::shared_ptr<grpc::Channel> channel() const = 0;
};

}  // namespace seedlm::client
