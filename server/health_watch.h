// What a server that runs looks at again and again: whether it can still serve.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"

namespace seedlm::server {

// Asks `check` every `interval`, from the construction on, on a thread of its own, and tells when
// the answer turns: OK to an error, or back. It was OK at the construction.
class HealthWatch {
 public:
  using Check = std::function<absl::Status()>;
  using Turned = std::function<void(const absl::Status& now)>;

  HealthWatch(std::chrono::milliseconds interval, Check check, Turned turned);

 private:
  std::jthread thread_;
};

}  // namespace seedlm::server
