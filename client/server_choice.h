// Which server, and how to reach it: what the command line and the environment say, as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace seedlm::client {

inline constexpr char kDefaultServer[] = "127.0.0.1:7433";

struct ServerChoice {
  std::string address{};      // HOST:PORT or unix:PATH; empty: kDefaultServer
  std::string ca{};           // PEM file, whom to believe; empty: the system's authorities
  std::string certificate{};  // PEM file, the client's own; empty: none
  std::string key{};          // PEM file, of the certificate
  std::string token{};        // sent with every call; empty: none
  bool insecure = false;      // plaintext to any address

  bool empty() const { return address.empty(); }  // no server is named
};

enum class Transport : uint8_t { kPlaintext, kTls };

// "unix:PATH", or HOST:PORT with the host localhost, 127.0.0.0/8 or [::1]: nothing that is sent
// there can be read on a network. False for all that is not plainly one of these.
bool IsLocalAddress(std::string_view address);

// TLS wherever a network is between: a Unix socket is plaintext; --insecure is; else with --tls-ca
// or --tls-cert TLS; else a local address is plaintext and any other TLS. A token thus never
// crosses a network in the clear unless --insecure says so.
Transport TransportFor(const ServerChoice& choice);

// INVALID_ARGUMENT naming the option: an address with a scheme (http://), a certificate without its
// key, a token with a character that no header can hold (the token is not shown).
absl::Status CheckServerChoice(const ServerChoice& choice);

}  // namespace seedlm::client
