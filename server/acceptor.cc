#include "server/acceptor.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace seedlm::server {
namespace {

constexpr int kBacklog = 512;
constexpr int kPauseMs = 100;  // while there are no descriptors
// A peer that acknowledges nothing, or takes nothing, for so long is gone: as long as gRPC's
// keepalive waits, whose end it does not notice while it is writing.
constexpr int kUserTimeoutMs = 80'000;

absl::Status CannotListen(const ListenAddress& address, std::string_view reason) {
  return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", address.ToString(), ": ",
                                                    std::string(reason),
                                                    ": choose another --listen"));
}

// A socket that listens, or an errno.
struct Opened {
  UniqueFd fd;
  int error = 0;
};

Opened Listen(int family, const sockaddr* name, socklen_t size) {
  UniqueFd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {{}, errno};
  const int on = 1;
  if (family != AF_UNIX) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd.get(), name, size) != 0 || listen(fd.get(), kBacklog) != 0) return {{}, errno};
  return {std::move(fd), 0};
}

uint16_t PortOf(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return 0;
  return ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&name)->sin6_port
                                          : reinterpret_cast<const sockaddr_in*>(&name)->sin_port);
}

bool NoDescriptors(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

absl::StatusOr<ListenSocket> ListenSocket::Open(const ListenAddress& address) {
  if (absl::Status status = CheckFree(address); !status.ok()) return status;
  ListenSocket socket(address);
  absl::Status status = address.is_unix ? socket.OpenUnix() : socket.OpenTcp();
  if (!status.ok()) return status;
  return socket;
}

absl::Status ListenSocket::OpenUnix() {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address_.path.data(), address_.path.size());
  (void)unlink(address_.path.c_str());  // CheckFree: at most a socket that nobody answers on
  Opened opened = Listen(AF_UNIX, reinterpret_cast<const sockaddr*>(&name), sizeof name);
  if (opened.error != 0) return CannotListen(address_, std::strerror(opened.error));
  fds_.push_back(std::move(opened.fd));
  return absl::OkStatus();
}

absl::Status ListenSocket::OpenTcp() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(address_.host.c_str(), nullptr, &hints, &found)) {
    return CannotListen(address_, gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, &freeaddrinfo);
  int last_error = 0;
  for (addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    // Of port 0 the first address chooses, and the others take the same.
    const uint16_t port = htons(address_.port);
    if (entry->ai_family == AF_INET6) {
      reinterpret_cast<sockaddr_in6*>(entry->ai_addr)->sin6_port = port;
    } else {
      reinterpret_cast<sockaddr_in*>(entry->ai_addr)->sin_port = port;
    }
    Opened opened = Listen(entry->ai_family, entry->ai_addr, entry->ai_addrlen);
    if (opened.error == EADDRINUSE) return CannotListen(address_, std::strerror(opened.error));
    if (opened.error != 0) {  // such as an address family that this machine lacks
      last_error = opened.error;
      continue;
    }
    address_.port = PortOf(opened.fd.get());
    fds_.push_back(std::move(opened.fd));
  }
  return fds_.empty() ? CannotListen(address_, std::strerror(last_error)) : absl::OkStatus();
}

ListenSocket::~ListenSocket() {
  if (address_.is_unix && !fds_.empty()) (void)unlink(address_.path.c_str());
}

Acceptor::Acceptor(std::vector<Door> doors, size_t max_connections,
                   std::function<void()> on_refused)
    : doors_(std::move(doors)),
      max_connections_(max_connections),
      on_refused_(std::move(on_refused)),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { Run(); }) {}

Acceptor::~Acceptor() { Stop(); }

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  (void)eventfd_write(stop_.get(), 1);
  thread_.join();
  doors_.clear();
}

void Acceptor::CutConnections() {
  for (const Connection& connection : connections_) {
    if (IsOpen(connection)) (void)shutdown(connection.fd, SHUT_RDWR);
  }
}

void Acceptor::Run() {
  std::vector<pollfd> waiting = {{stop_.get(), POLLIN, 0}};
  std::vector<const Door*> door_of = {nullptr};
  for (const Door& door : doors_) {
    for (const UniqueFd& fd : door.socket.fds()) {
      waiting.push_back({fd.get(), POLLIN, 0});
      door_of.push_back(&door);
    }
  }
  while (true) {
    // Without descriptors a connection that waits would wake us at once, again and again.
    const size_t count = out_of_descriptors_ ? 1 : waiting.size();
    if (poll(waiting.data(), count, out_of_descriptors_ ? kPauseMs : -1) < 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kPauseMs));
      continue;
    }
    if (waiting[0].revents != 0) return;
    const bool paused = std::exchange(out_of_descriptors_, false);
    for (size_t i = 1; i < waiting.size(); ++i) {
      if (paused || waiting[i].revents != 0) AcceptAll(*door_of[i], waiting[i].fd);
    }
  }
}

void Acceptor::AcceptAll(const Door& door, int listener) {
  while (true) {
    UniqueFd connection(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!connection) {
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
      out_of_descriptors_ = NoDescriptors(errno);
      return;
    }
    struct stat info {};
    if (!HasRoom()) {
      on_refused_();
      continue;  // closes it
    }
    if (fstat(connection.get(), &info) != 0) continue;
    const int on = 1;
    if (!door.socket.address().is_unix) {
      setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      setsockopt(connection.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs,
                 sizeof kUserTimeoutMs);
    }
    connections_.push_back({connection.get(), info.st_ino});
    door.take(listener, connection.release());
  }
}

bool Acceptor::HasRoom() {
  if (connections_.size() < max_connections_) return true;
  std::erase_if(connections_, [](const Connection& connection) { return !IsOpen(connection); });
  return connections_.size() < max_connections_;
}

bool Acceptor::IsOpen(const Connection& connection) {
  struct stat info {};
  return fstat(connection.fd, &info) == 0 && info.st_ino == connection.inode;
}

}  // namespace seedlm::server
