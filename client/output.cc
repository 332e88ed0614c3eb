#include "client/output.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/text.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {
namespace {

std::atomic<int> write_error = 0;  // errno of the first

void PrintLine(absl::string_view label, absl::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const std::string line =
      absl::StrCat(label, Printable({text.data(), text.size()}, std::string::npos), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void KeepStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest number that is free. Stdout cannot be written: what it was to show is lost.
    (void)open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void PrintOut(absl::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return;
  int none = 0;
  write_error.compare_exchange_strong(none, errno);
}

absl::Status OutputStatus() {
  const int error = write_error;
  if (error == 0 || error == EPIPE) return absl::OkStatus();
  return format::ErrnoToStatus(error, "standard output", "write the result");
}

bool ReaderLeft() {
  if (write_error == EPIPE) return true;
  pollfd out{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
  return poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

void PrintNote(absl::string_view text) { PrintLine("seedlm: ", text); }

void PrintError(absl::string_view text) { PrintLine("seedlm: error: ", text); }

}  // namespace seedlm::client
