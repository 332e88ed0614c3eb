// server/listen_address and server/config.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "server/config.h"
#include "server/listen_address.h"

namespace seedlm::server {
namespace {

TEST_CASE("addresses are taken apart and told again") {
  struct Case {
    std::string text, host;
    uint16_t port;
    bool local;
  };
  for (const Case& c :
       {Case{"127.0.0.1:7433", "127.0.0.1", 7433, true}, Case{"127.9.9.9:0", "127.9.9.9", 0, true},
        Case{"localhost:1", "localhost", 1, true}, Case{"[::1]:65535", "::1", 65535, true},
        Case{"0.0.0.0:7433", "0.0.0.0", 7433, false}, Case{"[::]:7433", "::", 7433, false},
        Case{"10.0.0.1:7433", "10.0.0.1", 7433, false},
        Case{"example.org:80", "example.org", 80, false},
        // Looks like a loopback address, and is a name that anyone may own.
        Case{"127.0.0.1.example.org:80", "127.0.0.1.example.org", 80, false}}) {
    const auto address = ParseListenAddress(c.text);
    INFO(c.text);
    REQUIRE(address.ok());
    CHECK_FALSE(address->is_unix);
    CHECK(address->host == c.host);
    CHECK(address->port == c.port);
    CHECK(address->is_local() == c.local);
    CHECK(address->ToString() == c.text);
  }
}

TEST_CASE("a Unix socket is local, and its path is short") {
  const auto address = ParseListenAddress("unix:/run/seedlm.sock");
  REQUIRE(address.ok());
  CHECK(address->is_unix);
  CHECK(address->is_local());
  CHECK(address->ToString() == "unix:/run/seedlm.sock");
  CHECK(ParseListenAddress("unix:" + std::string(107, 'a')).ok());
  const auto too_long = ParseListenAddress("unix:" + std::string(108, 'a'));
  CHECK(absl::IsInvalidArgument(too_long.status()));
  CHECK(std::string(too_long.status().message()).find("107 bytes") != std::string::npos);
}

TEST_CASE("a port that is too large is told as that") {
  for (const std::string text : {"127.0.0.1:65536", "[::1]:99999999999999999999"}) {
    INFO(text);
    const std::string told(ParseListenAddress(text).status().message());
    CHECK(told == "listen address '" + text + "': ports go to 65535");
  }
  CHECK(ParseListenAddress("127.0.0.1:0000065535").ok());
  ServerOptions options;
  options.data_dir = "/d";
  options.metrics = "127.0.0.1:70000";
  CHECK(CheckOptions(options).message() == "--metrics 127.0.0.1:70000: ports go to 65535");
}

TEST_CASE("what is no address is refused by name") {
  for (const std::string text : {"", ":7433", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                                 "127.0.0.1:70000 ", "127.0.0.1:+70000", "127.0.0.1: 7433",
                                 "127.0.0.1:-1", "127.0.0.1:x", "::1:7433", "[]:1", "unix:"}) {
    const absl::Status status = ParseListenAddress(text).status();
    INFO(text);
    CHECK(absl::IsInvalidArgument(status));
    CHECK(std::string(status.message()).find("'" + text + "'") != std::string::npos);
  }
}

TEST_CASE("an address that is taken says so") {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0);
  REQUIRE(listen(fd, 1) == 0);
  socklen_t size = sizeof(name);
  REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0);
  const std::string text = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
  const absl::Status taken = CheckFree(*ParseListenAddress(text));
  CHECK(absl::IsFailedPrecondition(taken));
  CHECK(std::string(taken.message()).find(text + ": Address already in use") != std::string::npos);
  close(fd);
  CHECK(CheckFree(*ParseListenAddress(text)).ok());
}

TEST_CASE("all that is wrong with options is told, not the first alone") {
  ServerOptions options;
  options.threads = -1;
  options.listen = {"127.0.0.1:7433", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:7433", "7433"};
  const std::vector<absl::Status> faults = FaultsOf(options);
  REQUIRE(faults.size() == 4);
  CHECK(faults[0].message() == "--data-dir is missing");
  CHECK(faults[1].message().find("--threads: ") == 0);
  CHECK(faults[2].message().find("'7433'") != std::string::npos);
  CHECK(faults[3].message() == "--listen 127.0.0.1:7433 is given twice: leave one out");
  CHECK(CheckOptions(options) == faults[0]);
}

TEST_CASE("options are checked before anything is touched") {
  ServerOptions good;
  good.data_dir = "/nowhere";
  good.listen = {"127.0.0.1:0", "unix:/tmp/s"};
  CHECK(CheckOptions(good).ok());
  const std::vector<std::pair<std::string, void (*)(ServerOptions&)>> cases = {
      {"--data-dir", [](ServerOptions& o) { o.data_dir.clear(); }},
      {"--threads", [](ServerOptions& o) { o.threads = -1; }},
      {"--threads", [](ServerOptions& o) { o.threads = 4097; }},
      {"--max-jobs", [](ServerOptions& o) { o.max_active_jobs = 0; }},
      {"'7433'", [](ServerOptions& o) { o.listen = {"7433"}; }},
      {"0.0.0.0:7433", [](ServerOptions& o) { o.listen = {"0.0.0.0:7433"}; }},
      {"--tls-key is missing",
       [](ServerOptions& o) {
         o.tls = {"server.pem", "", ""};
       }},
      {"--tls-cert is missing",
       [](ServerOptions& o) {
         o.tls = {"", "server.key", ""};
       }},
      {"--tls-cert is missing",
       [](ServerOptions& o) {
         o.tls = {"", "", "ca.pem"};
       }},
  };
  for (const auto& [name, spoil] : cases) {
    ServerOptions options = good;
    spoil(options);
    const absl::Status status = CheckOptions(options);
    CHECK(absl::IsInvalidArgument(status));
    CHECK(std::string(status.message()).find(name) != std::string::npos);
  }
  good.listen = {"0.0.0.0:7433"};
  good.insecure = true;
  CHECK(CheckOptions(good).ok());
  good.insecure = false;
  good.tls = {"server.pem", "server.key", ""};
  CHECK(CheckOptions(good).ok());
}

}  // namespace
}  // namespace seedlm::server
