// Where a test may break a server.
#pragma once

#include <functional>
#include <string_view>

namespace seedlm::server {

// Called with the name of each step of the durability protocol when it is reached, on the thread
// that does it; tests/server/fault_server.cc kills its process there. Empty in production.
using FaultPoint = std::function<void(std::string_view step)>;

inline void Reach(const FaultPoint& point, std::string_view step) {
  if (point) point(step);
}

}  // namespace seedlm::server
