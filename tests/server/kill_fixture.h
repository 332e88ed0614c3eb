// Servers that are killed at a step of the protocol, one after the other, and the job that goes on.
#pragma once

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/server/rpc_fixture.h"

extern char** environ;

namespace seedlm::server {

namespace fs = std::filesystem;

constexpr char kBinary[] = SEEDLM_BINARY_DIR "/tests/server/fault_server";
// Shards at most: fault_server has two threads, and the scan of all seeds is given 1,024 blocks at
// a time, which are two shards.
constexpr int kInFlight = 4;
constexpr int kShards = 10;  // of the job: eight of a tensor of 512 rows, and two tensors of one
constexpr auto kPatience = std::chrono::minutes(1);

struct Kill {
  std::string step;  // empty: none
  int count = 1;
};

// What a job of KillFixture is asked to do.
struct Wanted {
  std::string output = "out";  // below the root, or s3://..; also the request's id
  bool managed = false;
  bool overwrite = false;
  bool three_bits = false;  // other bytes
  std::string backend = "auto";
};

inline int CountLines(const fs::path& path, const std::string& wanted) {
  std::ifstream lines(path);
  int count = 0;
  for (std::string line; std::getline(lines, line);) count += line == wanted;
  return count;
}

// A fault_server as a child, killed at the end if it still runs.
class FaultServer {
 public:
  FaultServer(const fs::path& folder, const Kill& deadly, std::chrono::milliseconds commit) {
    std::vector<std::string> arguments = {kBinary,          folder / "data",
                                          folder / "root",  folder / "socket",
                                          folder / "steps", std::to_string(commit.count())};
    if (!deadly.step.empty()) {
      arguments.push_back(deadly.step);
      arguments.push_back(std::to_string(deadly.count));
    }
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int ready = CountLines(folder / "steps", "ready");
    REQUIRE(posix_spawn(&pid_, kBinary, nullptr, nullptr, argv.data(), environ) == 0);
    // A connection that comes while gRPC is still setting up its socket may hang for seconds.
    while (CountLines(folder / "steps", "ready") == ready && !Died()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    grpc::ChannelArguments channel;
    channel.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 10);
    channel.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
    channel.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 50);
    const auto connection = grpc::CreateCustomChannel("unix:" + (folder / "socket").string(),
                                                      grpc::InsecureChannelCredentials(), channel);
    std::get<0>(stubs_) = v1::CompressionService::NewStub(connection);
    std::get<1>(stubs_) = v1::ArtifactService::NewStub(connection);
  }
  ~FaultServer() {
    if (!Died()) kill(pid_, SIGKILL);
    Reap(0);
  }
  FaultServer(const FaultServer&) = delete;
  FaultServer& operator=(const FaultServer&) = delete;

  // Asks it to stop, and waits until it has; true: in good order.
  bool Stop() {
    kill(pid_, SIGTERM);
    Reap(0);
    return WIFEXITED(status_) && WEXITSTATUS(status_) == 0;
  }
  bool Died() { return Reap(WNOHANG); }
  bool DiedOfKill() { return Died() && WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL; }

  // The same call until the server answers or is dead; false: it is dead.
  template <typename Stub, typename Request, typename Response>
  bool Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
            const Request& request, Response* response, grpc::Status* status) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
      *status =
          (std::get<std::unique_ptr<Stub>>(stubs_).get()->*method)(&context, request, response);
      if (status->error_code() != grpc::StatusCode::UNAVAILABLE) return true;
      if (Died()) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    FAIL("the server neither answers nor dies");
    return false;
  }

  v1::CompressionService::Stub& jobs() { return *std::get<0>(stubs_); }
  v1::ArtifactService::Stub& artifacts() { return *std::get<1>(stubs_); }

 private:
  bool Reap(int options) {
    if (!reaped_) reaped_ = waitpid(pid_, &status_, options) == pid_;
    return reaped_;
  }

  pid_t pid_ = -1;
  bool reaped_ = false;
  int status_ = 0;
  std::tuple<std::unique_ptr<v1::CompressionService::Stub>,
             std::unique_ptr<v1::ArtifactService::Stub>>
      stubs_;
};

// A directory with the source, and servers one after the other.
class KillFixture {
 public:
  // `embedded`: rows of the tensor that passes through, of 64 float32 each.
  explicit KillFixture(int64_t embedded = 64) {
    fs::create_directories(root() / "in");
    WriteCheckpoint(root() / "in/model.safetensors", {{"a.weight", 512, 64},
                                                      {"b.weight", 64, 64},
                                                      {"c.weight", 64, 64},
                                                      {"embed.weight", embedded, 64}});
    std::ofstream(root() / "in/tokens.txt") << "words";
  }
  fs::path root() const { return folder_.path() / "root"; }
  fs::path folder() const { return folder_.path(); }

  // The job's end, through as many servers as there are kills, and one more.
  v1::Job Run(const std::vector<Kill>& kills, const Wanted& wanted = {}) {
    const v1::CreateJobRequest request = Request(wanted);
    for (const Kill& deadly : kills) {
      FaultServer server(folder(), deadly, commit);
      INFO("to be killed at " << deadly.step << " " << deadly.count);
      RunOn(server, request);
      REQUIRE(server.DiedOfKill());
    }
    FaultServer server(folder(), {}, commit);
    const v1::Job job = RunOn(server, request);
    INFO(job.ShortDebugString());
    REQUIRE(job.state() == v1::JOB_STATE_SUCCEEDED);
    CheckEvents(server, job.name());
    return job;
  }

  v1::CreateJobRequest Request(const Wanted& wanted = {}) const {
    v1::CreateJobRequest request;
    request.set_request_id(wanted.output + (wanted.three_bits ? ".3" : ""));
    request.mutable_job()->mutable_source()->set_uri("file://" + (root() / "in").string());
    auto& destination = *request.mutable_job()->mutable_destination();
    if (wanted.managed) {
      destination.set_managed(true);
    } else if (wanted.output.starts_with("s3://")) {
      destination.set_uri(wanted.output);
    } else {
      destination.set_uri("file://" + (root() / wanted.output).string());
    }
    destination.set_overwrite(wanted.overwrite);
    if (wanted.three_bits) request.mutable_job()->mutable_spec()->set_profile(v1::PROFILE_3BIT);
    request.mutable_job()->mutable_spec()->set_backend(wanted.backend);
    return request;
  }

  std::chrono::milliseconds commit{0};  // how long small pieces wait to be recorded together

  // How often a step was reached, by all servers together.
  int Count(const std::string& step) const { return CountLines(folder() / "steps", step); }

  // Creates the job, or finds it again, and waits for its end or the server's.
  static v1::Job RunOn(FaultServer& server, const v1::CreateJobRequest& request) {
    v1::Job job;
    grpc::Status status;
    if (!server.Call(&v1::CompressionService::Stub::CreateJob, request, &job, &status)) return {};
    INFO(status.error_message());
    REQUIRE(status.ok());
    v1::GetJobRequest get;
    get.set_name(job.name());
    while (job.state() == v1::JOB_STATE_QUEUED || job.state() == v1::JOB_STATE_RUNNING) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      if (!server.Call(&v1::CompressionService::Stub::GetJob, get, &job, &status)) return {};
      REQUIRE(status.ok());
    }
    // What is killed after the end was stored dies a moment later.
    for (int i = 0; i < 100 && !server.Died(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return job;
  }

 private:
  // Every tensor once, numbers without a gap.
  static void CheckEvents(FaultServer& server, const std::string& name) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_name(name);
    const auto reader = server.jobs().WatchJob(&context, request);
    std::map<std::string, int> tensors;
    int64_t sequence = 0;
    for (v1::JobEvent event; reader->Read(&event);) {
      if (event.has_snapshot() || event.sequence() == 0) continue;
      CHECK(event.sequence() == ++sequence);
      if (event.has_tensor()) ++tensors[event.tensor().name()];
    }
    CHECK(reader->Finish().ok());
    CHECK(tensors == std::map<std::string, int>{{"a.weight", 1}, {"b.weight", 1}, {"c.weight", 1}});
  }

  TemporaryFolder folder_;
};

inline std::map<std::string, std::string> Tree(const fs::path& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      files[entry.path().lexically_relative(root)] = ReadWholeFile(entry.path());
    }
  }
  return files;
}

}  // namespace seedlm::server
