#include "client/tls_probe.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <memory>

namespace seedlm::client {
namespace {

constexpr timeval kPatience{2, 0};
constexpr unsigned char kHttp2[] = {2, 'h', '2'};  // the protocol that gRPC servers ask for

class Socket {
 public:
  explicit Socket(const addrinfo& to)
      : fd_(socket(to.ai_family, to.ai_socktype | SOCK_CLOEXEC, to.ai_protocol)) {
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);  // of connect, too
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    connected_ = fd_ >= 0 && connect(fd_, to.ai_addr, to.ai_addrlen) == 0;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }
  bool connected() const { return connected_; }

 private:
  int fd_;
  bool connected_ = false;
};

// OpenSSL calls it when the server asks for a certificate.
int Asked(SSL* session, X509**, EVP_PKEY**) {
  static_cast<TlsProbe*>(SSL_get_app_data(session))->wants_certificate = true;
  return 0;  // there is none
}

TlsProbe Handshake(int fd) {
  TlsProbe probe;
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  if (context == nullptr) return probe;
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_client_cert_cb(context.get(), &Asked);
  const std::unique_ptr<SSL, decltype(&SSL_free)> session(SSL_new(context.get()), &SSL_free);
  if (session == nullptr || SSL_set_fd(session.get(), fd) != 1) return probe;
  SSL_set_app_data(session.get(), &probe);
  SSL_set_alpn_protos(session.get(), kHttp2, sizeof kHttp2);
  const bool done = SSL_connect(session.get()) == 1;
  // A refusal in TLS's own words is TLS too.
  const bool alert = ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET;
  ERR_clear_error();
  probe.speaks_tls = done || alert || probe.wants_certificate;
  return probe;
}

}  // namespace

TlsProbe ProbeTls(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || address.starts_with("unix:")) return {};
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, &freeaddrinfo);
  const Socket socket(*found);
  return socket.connected() ? Handshake(socket.fd()) : TlsProbe();
}

}  // namespace seedlm::client
