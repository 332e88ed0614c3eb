// The composition root: everything that a running server is made of. Used by seedlm-server and, in
// the process itself, by the client's embedded server.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "server/config.h"

namespace seedlm::server {

// Thread-safe after Start.
class Server {
 public:
  // Opens the data directory, takes up the jobs that an earlier server left, listens.
  // Errors, each naming the thing at fault: INVALID_ARGUMENT (options), FAILED_PRECONDITION (an
  // address in use, a data directory held by another server or damaged, a backend that is not
  // available here), NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (data directory, roots).
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);
  // Shuts down at once.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The addresses that the server listens on, ports filled in, in the order of the options.
  const std::vector<std::string>& addresses() const;

  // What there is less of than the options ask for, as memory is short (WorkMemory); "": nothing.
  const std::string& memory_warning() const;

  // HOST:PORT of the metrics, the port filled in; empty: there are none.
  std::string metrics_address() const;

  // Reads the token file now. On an error, which names the file, the tokens stay as they were.
  absl::Status ReloadTokens();

  // Reads the file of S3's keys now, if there is one; else as ReloadTokens.
  absl::Status ReloadS3Keys();

  // A channel without a socket. Must not be used after Shutdown.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  // Drains: admits nothing, says NOT_SERVING, ends watches, stops the workers within a shard, waits
  // until `grace` is over for calls that run, and cancels those. Jobs that have not ended go on
  // when a server starts on the same data directory, or are CANCELLED with cancel_on_shutdown.
  // Idempotent. Returns what could not be kept for the next start, for people, mostly "": the
  // index's cache; it is in the log too.
  std::string Shutdown(std::chrono::milliseconds grace);

 private:
  struct Parts;
  explicit Server(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace seedlm::server
