// Asks a server whether it serves: what a container's health check runs.
#pragma once

#include <chrono>
#include <string>

#include "absl/status/status.h"

namespace seedlm::server {

struct HealthCheck {
  std::string address;  // HOST:PORT or unix:PATH
  // PEM files. `ca`: who must have signed the server's certificate, which must be of HOST; empty:
  // plaintext. The other two: the asker's own certificate, where the server wants one.
  std::string ca;
  std::string certificate;
  std::string key;
  std::chrono::milliseconds timeout{3000};
};

// OK if it answers SERVING within the timeout. Errors, naming the address or file: INVALID_ARGUMENT
// (no address), NOT_FOUND and PERMISSION_DENIED (a file); UNAVAILABLE (nobody answers, the
// handshake fails, or it says something else, such as NOT_SERVING while it drains);
// DEADLINE_EXCEEDED.
absl::Status CheckHealth(const HealthCheck& check);

}  // namespace seedlm::server
