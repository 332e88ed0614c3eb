#include "client/server_choice.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace seedlm::client {
namespace {

constexpr size_t kMaxTokenBytes = 4096;

bool IsLocalHost(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return host.size() > 2 && host.front() == '[' && host.back() == ']' &&
         inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) == 1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

bool IsUnix(std::string_view address) { return address.starts_with("unix:"); }

// "HOST:70000": gRPC would say that it is no address.
bool HasPortTooLarge(std::string_view address) {
  constexpr int64_t kMaxPort = 65535;
  const size_t colon = address.rfind(':');
  if (IsUnix(address) || colon == std::string_view::npos) return false;
  const std::string port(address.substr(colon + 1));
  const bool digits = !port.empty() && port.find_first_not_of("0123456789") == std::string::npos;
  int64_t number = 0;
  return digits && (!absl::SimpleAtoi(port, &number) || number > kMaxPort);
}

}  // namespace

bool IsLocalAddress(std::string_view address) {
  if (IsUnix(address)) return true;
  const size_t colon = address.rfind(':');
  return colon != std::string_view::npos && IsLocalHost(std::string(address.substr(0, colon)));
}

Transport TransportFor(const ServerChoice& choice) {
  if (choice.insecure || IsUnix(choice.address)) return Transport::kPlaintext;
  if (!choice.ca.empty() || !choice.certificate.empty()) return Transport::kTls;
  return choice.address.empty() || IsLocalAddress(choice.address) ? Transport::kPlaintext
                                                                  : Transport::kTls;
}

absl::Status CheckServerChoice(const ServerChoice& choice) {
  // "dns:///host:port" is gRPC's own.
  const bool has_scheme = absl::StrContains(choice.address, "://") &&
                          !absl::StrContains(choice.address, ":///") && !IsUnix(choice.address);
  if (has_scheme) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--server ", choice.address, ": an address has no scheme; give HOST:PORT or unix:PATH"));
  }
  if (HasPortTooLarge(choice.address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--server ", choice.address, ": ports go to 65535; give the server's"));
  }
  if (choice.certificate.empty() != choice.key.empty()) {
    const bool no_key = choice.key.empty();
    return absl::InvalidArgumentError(absl::StrCat(no_key ? "--tls-cert" : "--tls-key",
                                                   ": is given alone; give ",
                                                   no_key ? "--tls-key" : "--tls-cert", " too"));
  }
  if (choice.token.size() > kMaxTokenBytes ||
      !std::all_of(choice.token.begin(), choice.token.end(),
                   [](char c) { return c > ' ' && c <= '~'; })) {
    return absl::InvalidArgumentError(
        absl::StrCat("SEEDLM_TOKEN: is no token: only visible ASCII characters, at most ",
                     kMaxTokenBytes, "; set it again, without spaces or line ends"));
  }
  return absl::OkStatus();
}

}  // namespace seedlm::client
