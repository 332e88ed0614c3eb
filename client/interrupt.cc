#include "client/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/exit_code.h"
#include "client/leftovers.h"
#include "client/output.h"

namespace seedlm::client {
namespace {

sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  struct sigaction hang_up {};
  if (sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) {
    sigaddset(&set, SIGHUP);
  }
  return set;
}

// What became of what the process was writing.
std::string EndOfLeftovers() {
  if (LeftoversAreKept()) {
    return "what is done is kept: the same command goes on where this one stopped";
  }
  RegisterOpenOutputs();
  const std::vector<std::string> left = RemoveLeftovers();
  return left.empty() ? "nothing partial is left" : "remove " + absl::StrJoin(left, " and ");
}

[[noreturn]] void LeaveAtOnce() {
  PrintError(absl::StrCat("interrupted twice, left at once; ", EndOfLeftovers()));
  _exit(kInterrupted);
}

}  // namespace

Interrupt::Interrupt() : signals_(Signals()) {
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  waiter_ = std::jthread([this](std::stop_token leave) { Wait(std::move(leave)); });
}

Interrupt::~Interrupt() {
  waiter_.request_stop();
  pthread_kill(waiter_.native_handle(), SIGTERM);  // wakes sigwait
  waiter_.join();
}

void Interrupt::Wait(std::stop_token leave) {
  for (int received = 0;;) {
    int number = 0;
    if (sigwait(&signals_, &number) != 0) continue;
    if (leave.stop_requested()) return;
    if (++received == 1) {
      asker_ = std::jthread([this] { source_.request_stop(); });
    } else {
      LeaveAtOnce();
    }
  }
}

}  // namespace seedlm::client
