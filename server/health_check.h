// Asks a server whether it serves: what a container's health check runs.
#pragma once

#include <chrono>
#include <string>

#include "absl/status/status.h"

namespace seedlm::server {

// `address`: HOST:PORT or unix:PATH, plaintext. OK if it answers SERVING within `timeout`.
// Errors, naming the address: INVALID_ARGUMENT (no address); UNAVAILABLE (nobody answers, or it
// says something else, such as NOT_SERVING while it drains); DEADLINE_EXCEEDED.
absl::Status CheckHealth(const std::string& address, std::chrono::milliseconds timeout);

}  // namespace seedlm::server
