// What happens often is told rarely.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

namespace seedlm::server {

// Thread-safe.
class Rarely {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit Rarely(std::chrono::seconds interval) : interval_(interval) {}

  // It has happened. Whether that is to be told: the first time, and then the first after each
  // interval; how often it has happened since it was told last, this time included.
  std::optional<int64_t> Happened(Time now = std::chrono::steady_clock::now()) {
    const std::lock_guard lock(mutex_);
    ++untold_;
    if (next_.has_value() && now < *next_) return std::nullopt;
    next_ = now + interval_;
    const int64_t count = untold_;
    untold_ = 0;
    return count;
  }

 private:
  const std::chrono::seconds interval_;
  std::mutex mutex_;  // guards all below
  std::optional<Time> next_;
  int64_t untold_ = 0;
};

}  // namespace seedlm::server
