// Where the server listens: "HOST:PORT" or "unix:PATH".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seedlm::server {

struct ListenAddress {
  bool is_unix = false;
  std::string path;   // unix
  std::string host;   // TCP, without the brackets of an IPv6 address
  uint16_t port = 0;  // TCP; 0: any free one

  // A Unix socket, "localhost", 127.0.0.0/8 or ::1: nothing that another machine reaches.
  bool is_local() const;
  // As given: "127.0.0.1:7433", "[::1]:7433", "unix:/run/seedlm.sock".
  std::string ToString() const;
};

// Errors: INVALID_ARGUMENT naming `text` and the expected form; a port over 65535, a Unix path over
// 107 bytes.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

// Whether `text` ends in a port that is a number, and over 65535.
bool HasPortTooLarge(std::string_view text);

// Of a Unix socket what does not depend on the moment: its directory is there and can be written
// to, and nothing but a socket has its name. FAILED_PRECONDITION otherwise, as CheckFree.
absl::Status CheckUnixPlace(const ListenAddress& address);

// Why nothing can be bound there now, from the system: FAILED_PRECONDITION naming address and
// reason ("Address already in use"). OK if it could. A Unix socket that nobody answers on is free.
absl::Status CheckFree(const ListenAddress& address);

}  // namespace seedlm::server
