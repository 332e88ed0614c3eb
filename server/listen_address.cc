#include "server/listen_address.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace seedlm::server {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr size_t kMaxUnixPathBytes = sizeof(sockaddr_un::sun_path) - 1;
constexpr uint32_t kMaxPort = 65535;

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

absl::Status Malformed(std::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("listen address '", std::string(text),
                   "' is not of the form HOST:PORT, [IPV6]:PORT or unix:PATH"));
}

absl::Status PortTooLarge(std::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("listen address '", std::string(text), "': ports go to ", kMaxPort));
}

absl::Status CannotListen(const ListenAddress& address, std::string_view reason) {
  return absl::FailedPreconditionError(absl::StrCat("cannot listen on ", address.ToString(), ": ",
                                                    std::string(reason),
                                                    ": choose another --listen"));
}

// 0 or an errno.
int TryBind(const addrinfo& entry) {
  const Socket probe(socket(entry.ai_family, entry.ai_socktype | SOCK_CLOEXEC, 0));
  if (probe.fd() < 0) return errno;
  const int on = 1;
  setsockopt(probe.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(probe.fd(), entry.ai_addr, entry.ai_addrlen) != 0) return errno;
  return listen(probe.fd(), 1) != 0 ? errno : 0;
}

absl::Status CheckUnixFree(const ListenAddress& address) {
  if (absl::Status status = CheckUnixPlace(address); !status.ok()) return status;
  const Socket probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.path.data(), address.path.size());
  if (connect(probe.fd(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) {
    return absl::OkStatus();
  }
  return CannotListen(address, "a server answers there");
}

}  // namespace

bool ListenAddress::is_local() const {
  if (is_unix || host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string ListenAddress::ToString() const {
  if (is_unix) return absl::StrCat(std::string(kUnix), path);
  if (host.find(':') != std::string::npos) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

bool HasPortTooLarge(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (text.starts_with(kUnix) || colon == std::string_view::npos) return false;
  std::string_view port = text.substr(colon + 1);
  if (port.empty() || port.find_first_not_of("0123456789") != std::string_view::npos) return false;
  port.remove_prefix(std::min(port.find_first_not_of('0'), port.size()));
  uint32_t number = 0;
  return port.size() > 5 || (absl::SimpleAtoi(std::string(port), &number) && number > kMaxPort);
}

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  ListenAddress address;
  if (text.starts_with(kUnix)) {
    address.is_unix = true;
    address.path = text.substr(kUnix.size());
    if (address.path.empty()) return Malformed(text);
    if (address.path.size() > kMaxUnixPathBytes) {
      return absl::InvalidArgumentError(absl::StrCat("the path of listen address '",
                                                     std::string(text), "' is longer than ",
                                                     kMaxUnixPathBytes, " bytes"));
    }
    return address;
  }
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string_view::npos || colon == 0) return Malformed(text);
  if (HasPortTooLarge(text)) return PortTooLarge(text);
  const std::string digits(text.substr(colon + 1));
  if (digits.find_first_not_of("0123456789") != std::string::npos ||
      !absl::SimpleAtoi(digits, &port)) {
    return Malformed(text);
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return Malformed(text);
  }
  if (host.empty()) return Malformed(text);
  address.host = host;
  address.port = static_cast<uint16_t>(port);
  return address;
}

absl::Status CheckUnixPlace(const ListenAddress& address) {
  const size_t slash = address.path.rfind('/');
  const std::string directory =
      slash == std::string::npos ? "." : address.path.substr(0, slash + 1);
  if (faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return CannotListen(address, std::strerror(errno));
  }
  struct stat status {};
  if (lstat(address.path.c_str(), &status) != 0 || S_ISSOCK(status.st_mode)) {
    return absl::OkStatus();
  }
  return CannotListen(address, "the path exists and is no socket");
}

absl::Status CheckFree(const ListenAddress& address) {
  if (address.is_unix) return CheckUnixFree(address);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(address.port);
  if (const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found)) {
    return CannotListen(address, gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, &freeaddrinfo);
  int last_error = 0;
  bool bound = false;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    const int error = TryBind(*entry);
    if (error == EADDRINUSE) return CannotListen(address, std::strerror(error));
    if (error == 0) bound = true;
    if (error != 0) last_error = error;  // such as an address family that this machine lacks
  }
  return bound ? absl::OkStatus() : CannotListen(address, std::strerror(last_error));
}

}  // namespace seedlm::server
