// The edge where exceptions of third-party code (out of memory, JSON, protobuf) become statuses.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "absl/status/status.h"

namespace seedlm::server {

// Calls `work`, which returns absl::Status.
// Errors: its own; RESOURCE_EXHAUSTED for std::bad_alloc, INTERNAL for any other exception.
template <class Work>
absl::Status Guarded(const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("the server is out of memory: try again later");
  } catch (const std::exception& error) {
    return absl::InternalError(std::string("unexpected failure: ") + error.what());
  }
}

}  // namespace seedlm::server
