// A server that is killed at a step of its own choosing: what tests/server/kill_test.cc starts.
//
// fault_server DATA_DIR ROOT SOCKET STEPS COMMIT_MS [STEP COUNT]; S3 from the AWS variables
//   SOCKET  where it listens
//   STEPS   a file to which it appends the name of each step that it reaches, one a line
//   COMMIT_MS  ServerOptions::commit_interval
//   STEP    a step of the durability protocol; at the COUNTth time it ends itself with SIGKILL
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "server/server.h"
#include "server/storage/s3/client.h"

namespace {

// Called on any thread.
class Steps {
 public:
  Steps(const char* path, std::string_view deadly, int count)
      : fd_(open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)),
        deadly_(deadly),
        left_(count) {}

  void Reach(std::string_view step) {
    const std::string line = std::string(step) + "\n";
    (void)!write(fd_, line.data(), line.size());
    if (step == deadly_ && --left_ == 0) raise(SIGKILL);
  }

 private:
  const int fd_;
  const std::string_view deadly_;
  std::atomic<int> left_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6 && argc != 8) return 2;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);  // for sigwait, in every thread

  Steps steps(argv[4], argc == 8 ? argv[6] : "", argc == 8 ? std::atoi(argv[7]) : 0);
  seedlm::server::ServerOptions options;
  options.data_dir = argv[1];
  options.storage_roots = {argv[2]};
  options.listen = {std::string("unix:") + argv[3]};
  options.threads = 2;
  options.index_memory = 0;
  options.shard_weights = 64 * 64;
  options.commit_interval = std::chrono::milliseconds(std::atoi(argv[5]));
  options.s3 = seedlm::server::s3::FromEnvironment(
      options.s3, [](const char* name) -> const char* { return std::getenv(name); });
  options.s3_transfer.part_bytes = seedlm::server::s3::kMinPartBytes;
  options.fault_point = [&steps](std::string_view step) { steps.Reach(step); };
  const auto server = seedlm::server::Server::Start(options);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", std::string(server.status().message()).c_str());
    return 3;
  }
  steps.Reach("ready");
  int signal = 0;
  sigwait(&stop, &signal);
  (*server)->Shutdown(std::chrono::seconds(1));
  return 0;
}
