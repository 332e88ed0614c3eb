// Two hundred jobs and sixty-four uploads at once on a server of two threads: all come to their
// end, its memory stays within a limit, and what only asks is answered meanwhile. Prints what it
// measured.
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "tests/server/rpc_fixture.h"

extern char** environ;

namespace seedlm::server {
namespace {

using std::chrono::steady_clock;

constexpr char kBinary[] = SEEDLM_BINARY_DIR "/server/seedlm-server";
constexpr int kJobs = 200;
constexpr int kUploads = 64;
constexpr size_t kUploadBytes = size_t{8} << 20;
constexpr int64_t kMemoryLimitKiB = 512 * 1024;  // without the index's lists
constexpr auto kPatience = std::chrono::minutes(5);

class Process {
 public:
  explicit Process(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), kBinary);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    REQUIRE(posix_spawn(&pid_, kBinary, nullptr, nullptr, argv.data(), environ) == 0);
  }
  ~Process() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int64_t PeakKiB() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string word; status >> word;) {
      int64_t value = 0;
      if (word == "VmHWM:" && status >> value) return value;
    }
    return -1;
  }

 private:
  pid_t pid_ = -1;
};

// One file in chunks of 1 MiB; true when it is finished.
bool Upload(v1::ArtifactService::Stub& stub, const std::string& resource, const std::string& data) {
  checksum::Sha256 sum;
  sum.Update(std::as_bytes(std::span(data)));
  grpc::ClientContext context;
  v1::WriteArtifactResponse response;
  const auto writer = stub.WriteArtifact(&context, &response);
  v1::WriteArtifactRequest request;
  request.set_resource_name(resource);
  for (size_t offset = 0; offset < data.size(); offset += size_t{1} << 20) {
    request.set_offset(static_cast<int64_t>(offset));
    request.set_data(data.substr(offset, size_t{1} << 20));
    request.set_crc32c(checksum::Crc32c(request.data()));
    if (offset + request.data().size() == data.size()) {
      request.set_finish(true);
      request.set_sha256(sum.HexDigest());
    }
    if (!writer->Write(request)) break;
    request.clear_resource_name();
  }
  writer->WritesDone();
  return writer->Finish().ok();
}

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values.at(static_cast<size_t>(share * static_cast<double>(values.size() - 1)));
}

TEST_CASE("200 jobs and 64 uploads on two threads", "[.][slow]") {
  const TemporaryFolder folder;
  const std::string address = "unix:" + (folder.path() / "socket").string();
  WriteCheckpoint(folder.path() / "in.safetensors", SmallTensors(8));
  const Process server({"--data-dir", folder.path() / "data", "--listen", address, "--threads", "2",
                        "--storage-root", folder.path(), "--index-memory", "0", "--log-level",
                        "off"});
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  REQUIRE(channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20)));
  const auto jobs = v1::CompressionService::NewStub(channel);
  const auto artifacts = v1::ArtifactService::NewStub(channel);

  std::atomic<int> uploaded = 0;
  std::vector<std::jthread> uploads;
  const std::string data(kUploadBytes, 'u');
  for (int i = 0; i < kUploads; ++i) {
    uploads.emplace_back([&, i] {
      uploaded += Upload(*artifacts, "artifacts/u" + std::to_string(i) + "/files/data.bin", data);
    });
  }
  std::vector<std::string> names;
  for (int i = 0; i < kJobs; ++i) {
    v1::CreateJobRequest request;
    request.mutable_job()->mutable_source()->set_uri("file://" +
                                                     (folder.path() / "in.safetensors").string());
    request.mutable_job()->mutable_destination()->set_uri(
        "file://" + (folder.path() / ("out" + std::to_string(i))).string());
    request.mutable_job()->set_priority(i % 7 - 3);
    v1::Job job;
    grpc::ClientContext context;
    const grpc::Status status = jobs->CreateJob(&context, request, &job);
    INFO(status.error_message());
    REQUIRE(status.ok());
    names.push_back(job.name());
  }

  std::vector<double> milliseconds;
  std::vector<int> left(kJobs);
  for (int i = 0; i < kJobs; ++i) left[static_cast<size_t>(i)] = i;
  const auto begin = steady_clock::now();
  while (!left.empty() && steady_clock::now() - begin < kPatience) {
    std::erase_if(left, [&](int i) {
      v1::GetJobRequest request;
      request.set_name(names[static_cast<size_t>(i)]);
      v1::Job job;
      grpc::ClientContext context;
      const auto asked = steady_clock::now();
      REQUIRE(jobs->GetJob(&context, request, &job).ok());
      milliseconds.push_back(
          std::chrono::duration<double, std::milli>(steady_clock::now() - asked).count());
      INFO(job.ShortDebugString());
      REQUIRE(job.state() != v1::JOB_STATE_FAILED);
      return job.state() == v1::JOB_STATE_SUCCEEDED;
    });
  }
  CHECK(left.empty());  // none was starved
  uploads.clear();      // joins
  CHECK(uploaded == kUploads);
  const std::string first = ReadWholeFile(folder.path() / "out0");
  for (int i = 1; i < kJobs; ++i) {
    CHECK(ReadWholeFile(folder.path() / ("out" + std::to_string(i))) == first);
  }
  CHECK(server.PeakKiB() > 0);
  CHECK(server.PeakKiB() < kMemoryLimitKiB);
  std::printf(
      "%d jobs, %d uploads of %zu MiB: GetJob p50 %.1f ms, p99 %.1f ms of %zu calls; "
      "the server's peak %lld MiB\n",
      kJobs, kUploads, kUploadBytes >> 20, Percentile(milliseconds, 0.5),
      Percentile(milliseconds, 0.99), milliseconds.size(),
      static_cast<long long>(server.PeakKiB() / 1024));
}

}  // namespace
}  // namespace seedlm::server
