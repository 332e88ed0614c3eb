// Notices that nothing comes any more.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace seedlm::client {

// A server sends something on every stream at least every 15 s by default, and every 30 s whatever
// it is told, if only a keep-alive: 45 s without a message, and the stream is dead though the
// connection may live.
inline constexpr std::chrono::milliseconds kSilence{45'000};

// Calls `on_silence` once, on a thread of its own, when Feed was not called for `limit`. After the
// destructor it is not running and will not run.
class Watchdog {
 public:
  Watchdog(std::chrono::milliseconds limit, std::function<void()> on_silence)
      : limit_(limit),
        on_silence_(std::move(on_silence)),
        waiter_([this](const std::stop_token& leave) { Wait(leave); }) {}

  void Feed() {
    const std::lock_guard lock(mutex_);
    last_ = std::chrono::steady_clock::now();
  }
  bool barked() const { return barked_; }

 private:
  void Wait(const std::stop_token& leave) {
    std::unique_lock lock(mutex_);
    while (std::chrono::steady_clock::now() < last_ + limit_) {
      wake_.wait_until(lock, leave, last_ + limit_, [] { return false; });
      if (leave.stop_requested()) return;
    }
    barked_ = true;
    lock.unlock();
    on_silence_();
  }

  const std::chrono::milliseconds limit_;
  const std::function<void()> on_silence_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();  // guarded
  std::atomic<bool> barked_ = false;
  std::jthread waiter_;  // last: everything above is there when it begins
};

}  // namespace seedlm::client
