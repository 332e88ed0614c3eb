#include "client/server_choice.h"

#include <catch2/catch.hpp>

#include "absl/strings/match.h"

namespace seedlm::client {
namespace {

TEST_CASE("what is local is said literally; all else is a network") {
  for (const char* local :
       {"unix:/run/seedlm.sock", "localhost:7433", "127.0.0.1:7433", "127.9.9.9:1", "[::1]:7433"}) {
    CAPTURE(local);
    CHECK(IsLocalAddress(local));
  }
  for (const char* remote :
       {"", "7433", "10.0.0.1:7433", "128.0.0.1:1", "127.0.0.1.example.org:7433", "0.0.0.0:7433",
        "localhost.example.org:7433", "[::2]:7433", "::1:7433", "dns:///127.0.0.1:7433",
        "ipv4:127.0.0.1:7433", "gpu.example.org:7433", "127.1:7433"}) {
    CAPTURE(remote);
    CHECK_FALSE(IsLocalAddress(remote));
  }
}

TEST_CASE("a network means TLS unless --insecure is given") {
  const auto transport = [](const ServerChoice& choice) { return TransportFor(choice); };
  CHECK(transport({}) == Transport::kPlaintext);  // 127.0.0.1
  CHECK(transport({.address = "127.0.0.1:1"}) == Transport::kPlaintext);
  CHECK(transport({.address = "127.0.0.1:1", .ca = "ca.pem"}) == Transport::kTls);
  CHECK(transport({.address = "127.0.0.1:1", .certificate = "c.pem"}) == Transport::kTls);
  CHECK(transport({.address = "127.0.0.1:1", .ca = "ca.pem", .insecure = true}) ==
        Transport::kPlaintext);
  CHECK(transport({.address = "unix:/s", .ca = "ca.pem"}) == Transport::kPlaintext);
  CHECK(transport({.address = "gpu:1"}) == Transport::kTls);
  CHECK(transport({.address = "gpu:1", .token = "t"}) == Transport::kTls);
  CHECK(transport({.address = "gpu:1", .token = "t", .insecure = true}) == Transport::kPlaintext);
}

TEST_CASE("what does not fit together is refused before anything is sent") {
  const auto message = [](const ServerChoice& choice) {
    const absl::Status status = CheckServerChoice(choice);
    CHECK(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  CHECK(CheckServerChoice({.certificate = "c", .key = "k", .token = "a.B-c_9~"}).ok());
  CHECK(CheckServerChoice({.address = "dns:///gpu:7433"}).ok());
  CHECK(CheckServerChoice({.address = "unix:///s"}).ok());
  CHECK(absl::StartsWith(message({.address = "http://gpu:7433"}), "--server http://gpu:7433: "));
  CHECK(message({.address = "gpu:70000"}) ==
        "--server gpu:70000: ports go to 65535; give the server's");
  CHECK(absl::StrContains(message({.address = "gpu:99999999999999999999"}), "ports go to"));
  CHECK(CheckServerChoice({.address = "gpu:65535"}).ok());
  CHECK(CheckServerChoice({.address = "unix:/a:70000"}).ok());
  CHECK(absl::StartsWith(message({.certificate = "c"}), "--tls-cert: "));
  CHECK(absl::StartsWith(message({.key = "k"}), "--tls-key: "));
  for (const char* token : {"two words", "line\n", "caf\xC3\xA9", "\x7F"}) {
    const std::string told = message({.token = token});
    CHECK(absl::StartsWith(told, "SEEDLM_TOKEN: "));
    CHECK_FALSE(absl::StrContains(told, token));  // it is a secret
  }
  CHECK(absl::StartsWith(message({.token = std::string(5000, 'x')}), "SEEDLM_TOKEN: "));
}

}  // namespace
}  // namespace seedlm::client
