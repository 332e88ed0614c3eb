// A server that is killed at every step of the protocol that makes work durable, and the one that
// goes on: the same bytes as of an undisturbed run, no shard lost, none told of twice, and no more
// done again than was in flight.
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
#include <vector>

#include "tests/server/rpc_fixture.h"

extern char** environ;

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

constexpr char kBinary[] = SEEDLM_BINARY_DIR "/tests/server/fault_server";
constexpr int kThreads = 2;  // of fault_server: shards in flight at most
constexpr int kShards = 10;  // of the job: eight of a tensor of 512 rows, and two tensors of one
constexpr auto kPatience = std::chrono::minutes(1);

struct Kill {
  std::string step;  // empty: none
  int count = 1;
};

int CountLines(const fs::path& path, const std::string& wanted) {
  std::ifstream lines(path);
  int count = 0;
  for (std::string line; std::getline(lines, line);) count += line == wanted;
  return count;
}

// A fault_server as a child, killed at the end if it still runs.
class FaultServer {
 public:
  FaultServer(const fs::path& folder, const Kill& deadly) {
    std::vector<std::string> arguments = {kBinary, folder / "data", folder / "root",
                                          folder / "socket", folder / "steps"};
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
    stub_ = v1::CompressionService::NewStub(grpc::CreateCustomChannel(
        "unix:" + (folder / "socket").string(), grpc::InsecureChannelCredentials(), channel));
  }
  ~FaultServer() {
    if (!Died()) kill(pid_, SIGKILL);
    Reap(0);
  }
  FaultServer(const FaultServer&) = delete;
  FaultServer& operator=(const FaultServer&) = delete;

  bool Died() { return Reap(WNOHANG); }
  bool DiedOfKill() { return Died() && WIFSIGNALED(status_) && WTERMSIG(status_) == SIGKILL; }

  // The same call until the server answers or is dead; false: it is dead.
  template <typename Method, typename Request, typename Response>
  bool Call(Method method, const Request& request, Response* response, grpc::Status* status) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
      *status = (stub_.get()->*method)(&context, request, response);
      if (status->error_code() != grpc::StatusCode::UNAVAILABLE) return true;
      if (Died()) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    FAIL("the server neither answers nor dies");
    return false;
  }

  v1::CompressionService::Stub& stub() { return *stub_; }

 private:
  bool Reap(int options) {
    if (!reaped_) reaped_ = waitpid(pid_, &status_, options) == pid_;
    return reaped_;
  }

  pid_t pid_ = -1;
  bool reaped_ = false;
  int status_ = 0;
  std::unique_ptr<v1::CompressionService::Stub> stub_;
};

// A directory with the source, and servers one after the other.
class KillFixture {
 public:
  KillFixture() {
    fs::create_directories(root() / "in");
    WriteCheckpoint(root() / "in/model.safetensors", {{"a.weight", 512, 64},
                                                      {"b.weight", 64, 64},
                                                      {"c.weight", 64, 64},
                                                      {"embed.weight", 64, 64}});
    std::ofstream(root() / "in/tokens.txt") << "words";
  }
  fs::path root() const { return folder_.path() / "root"; }
  fs::path folder() const { return folder_.path(); }

  // The job's end, through as many servers as there are kills, and one more.
  v1::Job Run(const std::vector<Kill>& kills, const std::string& output, bool managed = false) {
    v1::CreateJobRequest request;
    request.set_request_id(output);
    request.mutable_job()->mutable_source()->set_uri("file://" + (root() / "in").string());
    if (managed) {
      request.mutable_job()->mutable_destination()->set_managed(true);
    } else {
      request.mutable_job()->mutable_destination()->set_uri("file://" + (root() / output).string());
    }
    for (const Kill& deadly : kills) {
      FaultServer server(folder(), deadly);
      INFO("to be killed at " << deadly.step << " " << deadly.count);
      RunOn(server, request);
      REQUIRE(server.DiedOfKill());
    }
    FaultServer server(folder(), {});
    const v1::Job job = RunOn(server, request);
    INFO(job.ShortDebugString());
    REQUIRE(job.state() == v1::JOB_STATE_SUCCEEDED);
    CheckEvents(server, job.name());
    return job;
  }

  // How often a step was reached, by all servers together.
  int Count(const std::string& step) const { return CountLines(folder() / "steps", step); }

 private:
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

  // Every tensor once, numbers without a gap.
  static void CheckEvents(FaultServer& server, const std::string& name) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_name(name);
    const auto reader = server.stub().WatchJob(&context, request);
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

std::map<std::string, std::string> Tree(const fs::path& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      files[entry.path().lexically_relative(root)] = ReadWholeFile(entry.path());
    }
  }
  return files;
}

const std::map<std::string, std::string>& Undisturbed() {
  static const std::map<std::string, std::string> tree = [] {
    KillFixture fixture;
    fixture.Run({}, "out");
    CHECK(fixture.Count("shard.encoded") == kShards);
    return Tree(fixture.root() / "out");
  }();
  return tree;
}

void CheckOutput(const KillFixture& fixture, int servers) {
  CHECK(Tree(fixture.root() / "out") == Undisturbed());
  CHECK(fixture.Count("shard.encoded") >= kShards);
  CHECK(fixture.Count("shard.encoded") <= kShards + (servers - 1) * kThreads);
  for (const auto& entry : fs::directory_iterator(fixture.root())) {
    CHECK_FALSE(entry.path().filename().string().starts_with('.'));  // nothing staged is left
  }
}

TEST_CASE("killed at any step, the job comes to the same end") {
  const Kill deadly = GENERATE(
      Kill{"open.running"}, Kill{"open.begun"}, Kill{"open.staged"}, Kill{"shard.encoded", 1},
      Kill{"shard.encoded", 5}, Kill{"shard.encoded", kShards}, Kill{"work.written", 1},
      Kill{"work.written", 4}, Kill{"work.synced", 1}, Kill{"work.synced", 6},
      Kill{"work.recorded", 1}, Kill{"work.recorded", 3}, Kill{"work.recorded", 8},
      Kill{"commit.synced"}, Kill{"commit.copied"}, Kill{"commit.summed"}, Kill{"commit.intended"},
      Kill{"commit.published"}, Kill{"end.storing"}, Kill{"end.stored"});
  INFO(deadly.step << " " << deadly.count);
  KillFixture fixture;
  const v1::Job job = fixture.Run({deadly}, "out");
  CHECK(job.output_files_size() == 2);
  CheckOutput(fixture, 2);
}

TEST_CASE("killed again and again, it gets on") {
  KillFixture fixture;
  const std::vector<Kill> kills = {{"shard.encoded", 3}, {"work.synced", 2},   {"open.staged"},
                                   {"work.recorded", 2}, {"commit.summed"},    {"commit.intended"},
                                   {"open.running"},     {"commit.published"}, {"open.running"}};
  const v1::Job job = fixture.Run(kills, "out");
  CHECK(job.attempt() == static_cast<int>(kills.size()) + 1);
  CheckOutput(fixture, static_cast<int>(kills.size()) + 1);
}

TEST_CASE("a managed result is published once, too") {
  const Kill deadly = GENERATE(Kill{"work.recorded", 5}, Kill{"commit.intended"},
                               Kill{"commit.published"}, Kill{"end.storing"});
  INFO(deadly.step);
  KillFixture fixture;
  const v1::Job job = fixture.Run({deadly}, "out", true);
  std::map<std::string, std::string> files =
      Tree(fixture.folder() / "data" / job.output_artifact());
  CHECK(files.erase(".seedlm-result") == 1);
  CHECK(files == Undisturbed());
}

TEST_CASE("a deletion that is killed is finished by the next server") {
  const Kill deadly = GENERATE(Kill{"delete.begun"}, Kill{"delete.removed"});
  INFO(deadly.step);
  KillFixture fixture;
  const v1::Job job = fixture.Run({}, "out", true);
  v1::DeleteJobRequest request;
  request.set_name(job.name());
  google::protobuf::Empty empty;
  grpc::Status status;
  {
    FaultServer server(fixture.folder(), deadly);
    CHECK_FALSE(server.Call(&v1::CompressionService::Stub::DeleteJob, request, &empty, &status));
    CHECK(server.DiedOfKill());
  }
  FaultServer server(fixture.folder(), {});
  REQUIRE(server.Call(&v1::CompressionService::Stub::DeleteJob, request, &empty, &status));
  CHECK(status.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK_FALSE(fs::exists(fixture.folder() / "data" / job.output_artifact()));
}

}  // namespace
}  // namespace seedlm::server
