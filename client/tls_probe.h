// Why a server hangs up: to a gRPC client one that wants TLS, one that wants a certificate and one
// that is broken look the same.
#pragma once

#include <string>

namespace seedlm::client {

struct TlsProbe {
  bool speaks_tls = false;
  bool wants_certificate = false;  // of its clients
};

// Connects to HOST:PORT and goes through a TLS handshake, as far as it gets. Sends nothing else and
// believes nobody: good for an error message and no more. Blocks for a few seconds at most where
// nothing answers. Nothing is true of what is no HOST:PORT, or cannot be connected to.
// REQUIRES: SIGPIPE is ignored.
TlsProbe ProbeTls(const std::string& address);

}  // namespace seedlm::client
