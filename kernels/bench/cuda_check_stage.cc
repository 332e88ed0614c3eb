#include "kernels/bench/cuda_check_stage.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_status.h"

namespace seedlm::bench {
namespace {

using nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr const char* kEnd = "end";  // the last line of a process: its status

absl::Status Work(const StageWork& work, Context& context) {
  cudaDeviceProp properties;
  cudaError_t error = cudaSetDevice(context.device);
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&properties, context.device);
  if (error != cudaSuccess) {
    return cuda::ToStatus(error, absl::StrCat("device ", context.device));
  }
  context.processors = properties.multiProcessorCount;
  context.begin = Clock::now();
  return work(context);
}

void WriteLine(int to, std::string_view section, const ordered_json& record) {
  const std::string line = ordered_json::array({std::string(section), record}).dump() + "\n";
  for (size_t at = 0; at < line.size();) {
    const ssize_t written = write(to, line.data() + at, line.size() - at);
    if (written < 0 && errno != EINTR) _exit(1);
    if (written > 0) at += static_cast<size_t>(written);
  }
}

[[noreturn]] void RunChild(const StageWork& work, Context& context, int to) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  context.emit = [to](std::string_view section, const ordered_json& record) {
    WriteLine(to, section, record);
  };
  const absl::Status status = Work(work, context);
  WriteLine(
      to, kEnd,
      {{"code", static_cast<int>(status.code())}, {"message", std::string(status.message())}});
  _exit(0);  // not through destructors: the driver's may wait for a kernel
}

// Reads what a process says until it ends or the time is up.
class Reader {
 public:
  Reader(int from, const Emit& emit) : from_(from), emit_(emit) {}

  bool ended() const { return ended_; }
  const absl::Status& status() const { return status_; }

  // False: the time is up.
  bool ReadUntil(Clock::time_point until) {
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
      if (left.count() <= 0) return false;
      pollfd ready{from_, POLLIN, 0};
      if (poll(&ready, 1, static_cast<int>(std::min<int64_t>(left.count(), 1 << 30))) <= 0) {
        continue;
      }
      char buffer[1 << 16];
      const ssize_t got = read(from_, buffer, sizeof buffer);
      if (got == 0 || (got < 0 && errno != EINTR)) return true;
      if (got > 0) Take({buffer, static_cast<size_t>(got)});
    }
  }

 private:
  void Take(std::string_view bytes) {
    text_ += bytes;
    for (size_t end; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1)) {
      const ordered_json line = ordered_json::parse(text_.substr(0, end));
      if (line[0] != kEnd) {
        emit_(line[0].get<std::string>(), line[1]);
        continue;
      }
      ended_ = true;
      status_ = absl::Status(static_cast<absl::StatusCode>(line[1]["code"].get<int>()),
                             line[1]["message"].get<std::string>());
    }
  }

  const int from_;
  const Emit& emit_;
  std::string text_;
  bool ended_ = false;
  absl::Status status_;
};

// How a process ended; gives up on one that the driver does not let go.
std::string Reap(pid_t child) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    int how = 0;
    const pid_t got = waitpid(child, &how, WNOHANG);
    if (got == child && WIFSIGNALED(how)) return absl::StrCat("signal ", WTERMSIG(how));
    if (got == child) return absl::StrCat("exit status ", WEXITSTATUS(how));
    if (got < 0) return std::strerror(errno);
    usleep(100'000);
  }
  return "no end";
}

}  // namespace

absl::Status RunStage(const StageWork& work, Context context, bool fork, const Emit& emit) {
  if (!fork) {
    context.emit = emit;
    return Work(work, context);
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::InternalError("no pipe");
  const pid_t child = ::fork();
  if (child < 0) return absl::InternalError("no process");
  if (child == 0) RunChild(work, context, ends[1]);
  close(ends[1]);
  // A stage that looks at its time gets some more to come to an end by itself.
  constexpr double kGrace = 15;
  Reader reader(ends[0], emit);
  const bool in_time =
      reader.ReadUntil(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                          std::chrono::duration<double>(context.seconds + kGrace)));
  if (!in_time) kill(child, SIGKILL);
  const std::string how = Reap(child);
  close(ends[0]);
  if (reader.ended()) return reader.status();
  if (!in_time) {
    return absl::DeadlineExceededError(
        absl::StrCat("was ended after ", context.seconds + kGrace, " s (", how, ")"));
  }
  return absl::InternalError(absl::StrCat("its process ended with ", how));
}

}  // namespace seedlm::bench
