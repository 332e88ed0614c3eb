// Takes connections in and hands them to gRPC, up to a limit.
//
// gRPC 1.51 can listen by itself, but knows no limit of connections; and when the process has no
// file descriptor left it stops listening for good, so that whoever opens a thousand connections
// and closes them again has ended the service. Here a connection over the limit is closed at once,
// and a lack of descriptors is waited out.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/listen_address.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

// Sockets that listen on one address: one, or two for a host name with addresses of both families.
// Closed, and a Unix socket unlinked, when it is destroyed. Movable.
class ListenSocket {
 public:
  // Port 0 is filled in. A Unix socket that nobody answers on is replaced.
  // FAILED_PRECONDITION naming address and reason ("Address already in use").
  static absl::StatusOr<ListenSocket> Open(const ListenAddress& address);
  ListenSocket(ListenSocket&& other) noexcept = default;
  ListenSocket& operator=(ListenSocket&&) = delete;
  ~ListenSocket();

  const ListenAddress& address() const { return address_; }
  const std::vector<UniqueFd>& fds() const { return fds_; }

 private:
  explicit ListenSocket(ListenAddress address) : address_(std::move(address)) {}
  absl::Status OpenUnix();
  absl::Status OpenTcp();

  ListenAddress address_;
  std::vector<UniqueFd> fds_;  // empty after a move
};

class Acceptor {
 public:
  // Takes a connection, which is not blocking and closed on exec, and owns it. `listener`: the
  // socket that it came in by.
  using Take = std::function<void(int listener, int connection)>;
  struct Door {
    ListenSocket socket;
    Take take;
  };

  // Accepts on a thread of its own until Stop. `max_connections`: those that are open at
  // a time, of all doors together. `on_refused`: told, on that thread, of each one over that.
  Acceptor(std::vector<Door> doors, size_t max_connections, std::function<void()> on_refused);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Takes no more connections, and closes the doors. One thread at a time, as what follows.
  void Stop();
  // Shuts down the connections that are still open, whatever is on its way there. REQUIRES: Stop
  // was called.
  void CutConnections();

 private:
  // A connection that was handed on. Whether it is still open is seen from its inode: the number is
  // given away again when it is closed.
  struct Connection {
    int fd;
    ino_t inode;
  };
  void Run();
  void AcceptAll(const Door& door, int listener);
  bool HasRoom();
  static bool IsOpen(const Connection& connection);

  std::vector<Door> doors_;  // of the thread alone until it is joined, as all below
  const size_t max_connections_;
  const std::function<void()> on_refused_;
  const UniqueFd stop_;  // an eventfd
  std::vector<Connection> connections_;
  bool out_of_descriptors_ = false;
  std::jthread thread_;  // last: all above is there when it begins
};

}  // namespace seedlm::server
