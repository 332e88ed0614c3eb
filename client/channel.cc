#include "client/channel.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_interceptor.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/text.h"
#include "client/tls_probe.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {
namespace {

constexpr int kKeepAliveMs = 20'000;        // finds dead connections
constexpr int kMaxMessageBytes = 64 << 20;  // a job with many output files
constexpr int kFirstReconnectMs = 200;
constexpr int kMaxReconnectMs = 5'000;
constexpr int kConnectMs = 10'000;  // gRPC's name for it is misleading: how long a try may take
constexpr uint64_t kMaxPemBytes = 4 << 20;

struct Link {
  std::string address;
  Transport transport = Transport::kPlaintext;
  bool own_ca = false;
  bool own_certificate = false;
  std::string authorization;  // "Bearer TOKEN", or empty
};

// Nobody is there: the transport is not to blame.
bool IsRefused(const grpc::Status& status) {
  return absl::StrContains(status.error_message(), "refused");
}

grpc::Status NotLetIn(const std::string& message) {
  return {grpc::StatusCode::UNAUTHENTICATED, message};
}

// What a TLS handshake that failed means to a person; gRPC's words have OpenSSL's in them.
grpc::Status ExplainTls(const Link& link, const grpc::Status& status) {
  const std::string& reason = status.error_message();
  const auto says = [&reason](const char* words) { return absl::StrContains(reason, words); };
  if (says("wrong version number") || says("packet length too long") || says("http request")) {
    return NotLetIn(
        absl::StrCat(link.address,
                     ": speaks no TLS; start it with --tls-cert and --tls-key, or, where nobody "
                     "listens in, use --insecure"));
  }
  if (says("not in peer certificate") || says("Hostname Verification")) {
    return NotLetIn(absl::StrCat(link.address,
                                 ": its certificate is for another name; use that name in "
                                 "--server, or give the server a certificate for this one"));
  }
  if (says("CERTIFICATE_VERIFY_FAILED") || says("certificate verify failed")) {
    return NotLetIn(absl::StrCat(
        link.address, ": its certificate is not to be believed: it has expired or nobody in ",
        link.own_ca ? "--tls-ca" : "the system's authorities",
        " has signed it; give --tls-ca (or SEEDLM_CA) the file of its authority"));
  }
  // Since TLS 1.3 a client is done before the server has looked at its certificate, and only sees
  // that the server hangs up.
  if (IsRefused(status) || !ProbeTls(link.address).wants_certificate) return status;
  return NotLetIn(absl::StrCat(
      link.address, link.own_certificate
                        ? ": does not accept the certificate in --tls-cert; use one that its "
                          "--tls-client-ca has signed"
                        : ": wants a certificate of its clients; give --tls-cert and --tls-key"));
}

grpc::Status ExplainPlaintext(const Link& link, const grpc::Status& status) {
  if (IsRefused(status) || !ProbeTls(link.address).speaks_tls) return status;
  return NotLetIn(absl::StrCat(link.address,
                               ": speaks TLS only; give --tls-ca (or SEEDLM_CA) the file of the "
                               "authority that signed its certificate"));
}

// On every call of a channel: puts the token in, and explains why a connection failed.
class DoorInterceptor final : public grpc::experimental::Interceptor {
 public:
  explicit DoorInterceptor(const Link& link) : link_(link) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using Point = grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(Point::PRE_SEND_INITIAL_METADATA) &&
        !link_.authorization.empty()) {
      methods->GetSendInitialMetadata()->emplace("authorization", link_.authorization);
    }
    if (methods->QueryInterceptionHookPoint(Point::POST_RECV_STATUS)) {
      grpc::Status& status = *methods->GetRecvStatus();
      // What the server itself says has details.
      if (status.error_code() == grpc::StatusCode::UNAVAILABLE && status.error_details().empty()) {
        status = link_.transport == Transport::kTls ? ExplainTls(link_, status)
                                                    : ExplainPlaintext(link_, status);
      }
    }
    methods->Proceed();
  }

 private:
  const Link& link_;
};

class DoorFactory final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit DoorFactory(Link link) : link_(std::move(link)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo*) override {
    return new DoorInterceptor(link_);  // gRPC's, for one call; the factory lives with the channel
  }

 private:
  const Link link_;
};

// The content of a PEM file; "" for no file.
absl::StatusOr<std::string> ReadPem(const std::string& path, const char* option, const char* kind) {
  if (path.empty()) return "";
  auto content = format::ReadSmallFile(path, kMaxPemBytes);
  if (!content.ok() || absl::StrContains(*content, kind)) return content;
  return absl::InvalidArgumentError(absl::StrCat(Printable(path), ": holds no PEM block '", kind,
                                                 "'; give another file to ", option));
}

// gRPC makes a channel of a wrong pair, too, and calls on it say nothing of the reason.
absl::Status CheckPair(const std::string& certificate, const std::string& key) {
  const auto open = [](const std::string& pem) {
    return std::unique_ptr<BIO, decltype(&BIO_free)>(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  };
  const std::unique_ptr<X509, decltype(&X509_free)> own(
      PEM_read_bio_X509(open(certificate).get(), nullptr, nullptr, nullptr), &X509_free);
  char no_passphrase[] = "";
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> own_key(
      PEM_read_bio_PrivateKey(open(key).get(), nullptr, nullptr, no_passphrase), &EVP_PKEY_free);
  const bool match =
      own != nullptr && own_key != nullptr && X509_check_private_key(own.get(), own_key.get()) == 1;
  ERR_clear_error();
  return match ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     "--tls-key: is not the key of --tls-cert, or has a passphrase; give the one "
                     "that belongs to it");
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const ServerChoice& choice) {
  if (TransportFor(choice) == Transport::kPlaintext) return grpc::InsecureChannelCredentials();
  auto ca = ReadPem(choice.ca, "--tls-ca", "BEGIN CERTIFICATE");
  if (!ca.ok()) return ca.status();
  auto certificate = ReadPem(choice.certificate, "--tls-cert", "BEGIN CERTIFICATE");
  if (!certificate.ok()) return certificate.status();
  auto key = ReadPem(choice.key, "--tls-key", "PRIVATE KEY");
  if (!key.ok()) return key.status();
  if (!choice.certificate.empty()) {
    if (absl::Status status = CheckPair(*certificate, *key); !status.ok()) return status;
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = *std::move(ca);
  options.pem_cert_chain = *std::move(certificate);
  options.pem_private_key = *std::move(key);
  return grpc::SslCredentials(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const ServerChoice& choice) {
  if (absl::Status status = CheckServerChoice(choice); !status.ok()) return status;
  const auto credentials = Credentials(choice);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepAliveMs);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  Link link{.address = choice.address.empty() ? kDefaultServer : choice.address,
            .transport = TransportFor(choice),
            .own_ca = !choice.ca.empty(),
            .own_certificate = !choice.certificate.empty(),
            .authorization = choice.token.empty() ? "" : absl::StrCat("Bearer ", choice.token)};
  const std::string target = link.address;
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> doors;
  doors.push_back(std::make_unique<DoorFactory>(std::move(link)));
  return grpc::experimental::CreateCustomChannelWithInterceptors(target, *credentials, arguments,
                                                                 std::move(doors));
}

}  // namespace seedlm::client
