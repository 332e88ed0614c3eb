// SIGINT, SIGTERM and SIGHUP: the first asks politely, the second leaves at once.
#pragma once

#include <signal.h>

#include <stop_token>
#include <thread>

namespace seedlm::client {

// Takes the signals over for as long as it lives; SIGHUP not where it is ignored (nohup). The first
// one requests a stop (its callbacks run on a thread of their own); the second removes what this
// process has half written (leftovers.h) and ends it with kInterrupted. Make it before any other
// thread, so that all of them inherit the signal mask.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const { return source_.get_token(); }
  bool requested() const { return source_.stop_requested(); }

 private:
  void Wait(std::stop_token leave);
  sigset_t signals_;
  std::stop_source source_;
  std::jthread asker_;  // runs the callbacks of the first signal
  std::jthread waiter_;
};

}  // namespace seedlm::client
