// The server behind TLS: who gets in, who does not, and what is spoken.
#include <openssl/ssl.h>

#include <catch2/catch.hpp>
#include <thread>

#include "grpcpp/grpcpp.h"
#include "tests/server/certificates.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

constexpr std::chrono::seconds kDeadline{20};

// Certificates in files, and a server that uses them.
struct TlsFixture {
  explicit TlsFixture(bool mutual)
      : pair(WritePair(folder.path(), "server", authority.Issue("server"))),
        server([&](ServerOptions& options) {
          options.tls.certificate = pair.certificate;
          options.tls.key = pair.key;
          if (mutual) {
            options.tls.client_ca = WritePem(folder.path() / "ca.pem", authority.certificate());
          }
          options.tls_refresh = std::chrono::seconds(1);
          options.listen.push_back("unix:" + (folder.path() / "socket").string());
        }) {}
  const std::string& tcp() { return server.server().addresses()[0]; }
  const std::string& socket() { return server.server().addresses()[1]; }

  TemporaryFolder folder;
  TestAuthority authority;
  PemFiles pair;
  RpcFixture server;
};

grpc::Status Ping(const std::string& address,
                  const std::shared_ptr<grpc::ChannelCredentials>& door) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub =
      v1::CompressionService::NewStub(grpc::CreateCustomChannel(address, door, arguments));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  v1::Capabilities capabilities;
  return stub->GetCapabilities(&context, {}, &capabilities);
}

std::shared_ptr<grpc::ChannelCredentials> Tls(const TestAuthority& trusted,
                                              const PemPair& own = {}) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = trusted.certificate();
  options.pem_cert_chain = own.certificate;
  options.pem_private_key = own.key;
  return grpc::SslCredentials(options);
}

// Whether a handshake succeeds with a client that knows no version newer than `version`.
bool Handshakes(const std::string& address, int version) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  SSL_CTX_set_security_level(context.get(), 0);  // or OpenSSL itself would not speak the old ones
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), version);
  BIO* bio = BIO_new_ssl_connect(context.get());
  SSL* session = nullptr;
  BIO_get_ssl(bio, &session);
  const unsigned char http2[] = {2, 'h', '2'};
  SSL_set_alpn_protos(session, http2, sizeof http2);
  BIO_set_conn_hostname(bio, address.c_str());
  const bool done = BIO_do_connect(bio) == 1 && BIO_do_handshake(bio) == 1;
  BIO_free_all(bio);
  return done;
}

TEST_CASE("TLS: a client that trusts the authority gets in, no other does") {
  TlsFixture fixture(false);
  CHECK(Ping(fixture.tcp(), Tls(fixture.authority)).ok());
  CHECK_FALSE(Ping(fixture.tcp(), Tls(TestAuthority())).ok());
  // Downgrade: there is no plaintext behind a TLS port.
  CHECK_FALSE(Ping(fixture.tcp(), grpc::InsecureChannelCredentials()).ok());
  // A Unix socket has the permissions of its file.
  CHECK(Ping(fixture.socket(), grpc::InsecureChannelCredentials()).ok());
}

TEST_CASE("TLS older than 1.2 is not spoken") {
  TlsFixture fixture(false);
  CHECK_FALSE(Handshakes(fixture.tcp(), TLS1_1_VERSION));
  CHECK(Handshakes(fixture.tcp(), TLS1_2_VERSION));
  CHECK(Handshakes(fixture.tcp(), TLS1_3_VERSION));
}

TEST_CASE("mutual TLS: a client needs a certificate of the right authority") {
  TlsFixture fixture(true);
  CHECK(Ping(fixture.tcp(), Tls(fixture.authority, fixture.authority.Issue("client"))).ok());
  CHECK_FALSE(Ping(fixture.tcp(), Tls(fixture.authority)).ok());
  CHECK_FALSE(Ping(fixture.tcp(), Tls(fixture.authority, TestAuthority().Issue("client"))).ok());
  const PemPair expired = fixture.authority.Issue("client", std::chrono::seconds(-60));
  CHECK_FALSE(Ping(fixture.tcp(), Tls(fixture.authority, expired)).ok());
}

TEST_CASE("a renewed certificate is taken up without a restart") {
  TlsFixture fixture(false);
  const TestAuthority next;
  REQUIRE_FALSE(Ping(fixture.tcp(), Tls(next)).ok());
  WritePair(fixture.folder.path(), "server", next.Issue("server"));
  bool taken_up = false;
  for (int i = 0; i < 200 && !taken_up; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    taken_up = Ping(fixture.tcp(), Tls(next)).ok();
  }
  CHECK(taken_up);
}

TEST_CASE("files that cannot serve change nothing, until they can") {
  TlsFixture fixture(true);
  const PemPair own = fixture.authority.Issue("client");
  const TestAuthority next;
  const PemPair renewed = next.Issue("server");
  const auto serves = [&](const TestAuthority& authority) {
    return Ping(fixture.tcp(), Tls(authority, own)).ok();
  };
  WritePem(fixture.pair.certificate, renewed.certificate);  // its key comes later
  std::this_thread::sleep_for(std::chrono::milliseconds(3500));
  CHECK(serves(fixture.authority));
  WritePem(fixture.pair.key, "garbage");
  std::this_thread::sleep_for(std::chrono::milliseconds(3500));
  CHECK(serves(fixture.authority));
  WritePem(fixture.pair.key, renewed.key);
  bool taken_up = false;
  for (int i = 0; i < 100 && !taken_up; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    taken_up = serves(next);
  }
  CHECK(taken_up);
}

}  // namespace
}  // namespace seedlm::server
