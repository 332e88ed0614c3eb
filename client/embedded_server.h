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

// Of an engine in the process, in bytes, where nothing else is said.
inline constexpr int64_t kIndexMemory = int64_t{1} << 30;

// ErrorReason of Start.
inline constexpr char kKeyInUse[] = "DATA_DIR_IN_USE";

// Runs until it is destroyed; then its data directory is removed, unless it was there before,
// KeepState was called or the process was killed. That lies in the user's state directory or the
// system's temporary one, never beside an output: SQLite needs a file system with locks, and NFS
// has none to rely on. It stays small: outputs are built where they will be. Reads and writes
// file:// URIs anywhere on this machine, as the user may.
class EmbeddedServer {
 public:
  struct Options {
    int threads = 0;                      // workers of every backend; 0: one a core
    std::string search = "auto";          // as the server's --search
    int64_t memory = 0;                   // as the server's --memory; what is cut down is a note
    int64_t index_memory = kIndexMemory;  // as the server's --index-memory
    bool index_cache = false;             // keep the index in the user's cache directory
    // What belongs together: a server that is given the same key finds the jobs of one that was
    // killed or kept its state. Where the state directory cannot be used nothing is found and
    // nothing kept. Empty: the same.
    std::string resume_key = {};
  };
  // Errors: reason kKeyInUse if another process has the key; those of the server.
  static absl::StatusOr<std::unique_ptr<EmbeddedServer>> Start(const Options& options);
  virtual ~EmbeddedServer() = default;

  virtual std::shared_ptr<grpc::Channel> channel() const = 0;

  // Whether a later server with the same key can find this one's jobs: then the last of KeepState
  // and DropState says whether it will.
  virtual bool has_state() const = 0;
  virtual bool found_state() const = 0;  // whether an earlier one left its own
  virtual void KeepState() = 0;
  virtual void DropState() = 0;
};

}  // namespace seedlm::client
