#include "client/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include "client/exit_code.h"
#include "client/temporary_directory.h"

namespace seedlm::client {
namespace {

sigset_t Signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t set = Signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  waiter_ = std::jthread([this](std::stop_token leave) { Wait(std::move(leave)); });
}

Interrupt::~Interrupt() {
  waiter_.request_stop();
  pthread_kill(waiter_.native_handle(), SIGTERM);  // wakes sigwait
  waiter_.join();
}

void Interrupt::Wait(std::stop_token leave) {
  const sigset_t set = Signals();
  for (int received = 0;;) {
    int number = 0;
    if (sigwait(&set, &number) != 0) continue;
    if (leave.stop_requested()) return;
    if (++received == 1) {
      asker_ = std::jthread([this] { source_.request_stop(); });
    } else {
      TemporaryDirectory::RemoveAll();
      _exit(kInterrupted);
    }
  }
}

}  // namespace seedlm::client
