// seedlm-server as a process: exit codes, its one line on stderr, signals.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <iterator>
#include <thread>

#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/server/rpc_fixture.h"

extern char** environ;

namespace seedlm::server {
namespace {

constexpr char kBinary[] = SEEDLM_BINARY_DIR "/server/seedlm-server";
constexpr int kPatienceMs = 30'000;

// The server as a child; stdout and stderr in one pipe. Killed at the end if it still runs.
class Process {
 public:
  // `closed`: descriptors that it does not get; what it says in them is not read then.
  explicit Process(std::vector<std::string> arguments, const std::vector<int>& closed = {}) {
    int pipe_fds[2];
    REQUIRE(pipe2(pipe_fds, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDERR_FILENO);
    for (const int fd : closed) posix_spawn_file_actions_addclose(&actions, fd);
    arguments.insert(arguments.begin(), kBinary);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int error = posix_spawn(&pid_, kBinary, &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    output_ = pipe_fds[0];
    INFO(kBinary);
    REQUIRE(error == 0);
  }
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(output_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Reads until `part` was said, or to the end with "".
  const std::string& ReadUntil(const std::string& part) {
    char buffer[4096];
    while (part.empty() || !Contains(text_, part)) {
      pollfd ready{output_, POLLIN, 0};
      if (poll(&ready, 1, kPatienceMs) <= 0) break;
      const ssize_t count = read(output_, buffer, sizeof(buffer));
      if (count <= 0) break;
      text_.append(buffer, static_cast<size_t>(count));
    }
    return text_;
  }

  void Signal(int signal) { kill(pid_, signal); }

  // The exit code, or -SIGNAL if that ended it.
  int Wait() {
    ReadUntil("");
    int status = 0;
    REQUIRE(waitpid(pid_, &status, 0) == pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  const std::string& text() const { return text_; }

  // What a descriptor of it leads to.
  std::string Descriptor(int fd) const {
    std::error_code error;
    return std::filesystem::read_symlink(
               "/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(fd), error)
        .string();
  }

  ptrdiff_t CountThreads() const {
    const std::filesystem::directory_iterator tasks("/proc/" + std::to_string(pid_) + "/task");
    return std::distance(begin(tasks), end(tasks));
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  std::string text_;
};

std::vector<std::string> Arguments(const TemporaryFolder& folder,
                                   const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {
      "--data-dir", (folder.path() / "data").string(), "--listen", "127.0.0.1:0", "--threads", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// "127.0.0.1:PORT" from the line that says that the server is ready.
std::string AddressOf(Process& process) {
  const std::string& text = process.ReadUntil("listening on ");
  const std::string key = "listening on ";
  const size_t begin = text.find(key);
  INFO(text);
  REQUIRE(begin != std::string::npos);
  const size_t start = begin + key.size();
  return text.substr(start, text.find_first_of(" \n", start) - start);
}

// A job that would run for minutes; its name.
std::string StartSlowJob(const TemporaryFolder& folder, v1::CompressionService::Stub& stub) {
  WriteCheckpoint(folder.path() / "in.safetensors", SlowTensors());
  v1::CreateJobRequest request;
  request.mutable_job()->mutable_source()->set_uri("file://" +
                                                   (folder.path() / "in.safetensors").string());
  request.mutable_job()->mutable_destination()->set_uri(
      "file://" + (folder.path() / "out.safetensors").string());
  request.mutable_job()->mutable_spec()->set_backend("reference");
  grpc::ClientContext context;
  v1::Job job;
  REQUIRE(stub.CreateJob(&context, request, &job).ok());
  return job.name();
}

TEST_CASE("help and version") {
  Process help({"--help"});
  CHECK(help.Wait() == 0);
  CHECK(Contains(help.text(), "Exit codes: 0"));
  Process version({"--version"});
  CHECK(version.Wait() == 0);
  CHECK(version.text() == std::string("seedlm-server ") + kVersion + "\n");
}

TEST_CASE("the configuration file is read, and flags win") {
  const TemporaryFolder folder;
  const std::string file = (folder.path() / "seedlm.toml").string();
  std::ofstream(file) << "max-jobs = 7\nlog-level = \"debug\"\nstorage-root = [\"/a\"]\n";
  Process print({"--config", file, "--print-config", "--log-level", "warn", "--index-cache", "",
                 "--storage-root", "/b", "--storage-root", "/c", "--insecure=false"});
  CHECK(print.Wait() == 0);
  for (const char* line : {"\nmax-jobs = 7\n", "\nlog-level = \"warn\"\n", "\nindex-cache = \"\"\n",
                           "\nstorage-root = [\"/b\", \"/c\"]\n", "\ninsecure = false\n"}) {
    INFO(print.text());
    CHECK(Contains(print.text(), line));
  }
  std::ofstream(file) << "threads = 1\nthread = 2\n";
  Process refused(Arguments(folder, {"--config", file}));
  CHECK(refused.Wait() == 2);
  CHECK(refused.text() ==
        "seedlm-server: " + file + ":2: \"thread\" is no setting: do you mean threads?\n");
  Process missing(Arguments(folder, {"--config", file + ".not"}));
  CHECK(missing.Wait() == 2);
  CHECK(Contains(missing.text(), file + ".not"));
}

TEST_CASE("wrong usage exits 2") {
  const TemporaryFolder folder;
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{}, Arguments(folder, {"--unknown"}),
        Arguments(folder, {"--threads", "many"}), Arguments(folder, {"--listen", "7433"}),
        Arguments(folder, {"--log-level", "loud"}), Arguments(folder, {"--threads", "2"}),
        Arguments(folder, {"--index-memory", "5MB"}), Arguments(folder, {"--config"}),
        Arguments(folder, {"--listen", "0.0.0.0:0"})}) {
    Process process(arguments);
    CHECK(process.Wait() == 2);
    CHECK_FALSE(process.text().empty());
  }
  CHECK_FALSE(std::filesystem::exists(folder.path() / "data"));
}

TEST_CASE("a server runs until SIGTERM or SIGINT, and exits 0") {
  for (const int signal : {SIGTERM, SIGINT}) {
    const TemporaryFolder folder;
    Process process(Arguments(folder, {"--storage-root", folder.path().string()}));
    const std::string address = AddressOf(process);
    const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    const auto stub = v1::CompressionService::NewStub(channel);

    const std::string name = StartSlowJob(folder, *stub);
    v1::WatchJobRequest watch;
    watch.set_name(name);
    grpc::ClientContext watch_context;
    const auto reader = stub->WatchJob(&watch_context, watch);
    v1::JobEvent event;
    while (reader->Read(&event) && event.state() != v1::JOB_STATE_RUNNING) {
    }
    process.Signal(signal);
    while (reader->Read(&event)) {
    }
    CHECK(reader->Finish().error_code() == grpc::StatusCode::UNAVAILABLE);
    CHECK(process.Wait() == 0);
    INFO(process.text());
    CHECK(process.text().ends_with("stopped\n"));
    CHECK(Contains(process.text(), std::string("seedlm-server ") + kVersion + ", process "));
    CHECK(Contains(process.text(), "no tokens"));
    CHECK(Contains(process.text(), "created: file://"));
    CHECK_FALSE(Contains(process.text(), "PLAINTEXT"));
    CHECK_FALSE(std::filesystem::exists(folder.path() / "out.safetensors"));
  }
}

TEST_CASE("a server that drains says NOT_SERVING, admits nothing, and ends at a second SIGTERM") {
  const TemporaryFolder folder;
  Process process(
      Arguments(folder, {"--storage-root", folder.path().string(), "--drain-grace", "5min"}));
  const std::string address = AddressOf(process);
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  const auto health = grpc::health::v1::Health::NewStub(channel);
  const auto artifacts = v1::ArtifactService::NewStub(channel);

  grpc::ClientContext watch_context;
  const auto watch = health->Watch(&watch_context, {});
  grpc::health::v1::HealthCheckResponse said;
  REQUIRE(watch->Read(&said));
  CHECK(said.status() == grpc::health::v1::HealthCheckResponse::SERVING);
  // An upload that goes on keeps the server for the grace.
  grpc::ClientContext upload_context;
  v1::WriteArtifactResponse written;
  const auto upload = artifacts->WriteArtifact(&upload_context, &written);
  v1::WriteArtifactRequest chunk;
  chunk.set_resource_name("artifacts/a/model.safetensors");
  REQUIRE(upload->Write(chunk));

  process.Signal(SIGTERM);
  while (watch->Read(&said) && said.status() == grpc::health::v1::HealthCheckResponse::SERVING) {
  }
  CHECK(said.status() == grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  CHECK(Contains(process.ReadUntil("draining"), "draining"));
  process.Signal(SIGHUP);      // tokens are of no use any more: it goes on
  grpc::ChannelArguments own;  // a connection of its own
  own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub = v1::CompressionService::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), own));
  grpc::StatusCode code = grpc::StatusCode::OK;
  for (int attempt = 0; attempt < 100 && code != grpc::StatusCode::UNAVAILABLE; ++attempt) {
    grpc::ClientContext context;
    v1::Job job;
    code = stub->CreateJob(&context, {}, &job).error_code();  // malformed, where it is looked at
    CHECK(code != grpc::StatusCode::OK);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK(code == grpc::StatusCode::UNAVAILABLE);

  process.Signal(SIGTERM);
  CHECK(process.Wait() == -SIGTERM);
  upload_context.TryCancel();
  watch_context.TryCancel();
}

TEST_CASE("who may call, and in plaintext, is told at the start; so is who was refused") {
  const TemporaryFolder folder;
  const std::string tokens = (folder.path() / "tokens").string();
  std::ofstream(tokens) << std::string(64, 'a') << " alice user\n";
  std::filesystem::permissions(tokens, std::filesystem::perms(0600));
  Process open(Arguments(folder, {"--listen", "0.0.0.0:0", "--insecure"}));
  open.ReadUntil("listening on ");
  CHECK(Contains(open.text(), "0.0.0.0:0: other machines reach it"));
  CHECK(Contains(open.text(), "PLAINTEXT IS OPEN TO THE NETWORK"));
  open.Signal(SIGTERM);
  CHECK(open.Wait() == 0);

  Process closed(Arguments(folder, {"--tokens", tokens}));
  const std::string address = AddressOf(closed);
  CHECK(Contains(closed.text(), "1 token;"));
  const auto stub = v1::CompressionService::NewStub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer a-guess-of-somebody");
    v1::Job job;
    CHECK(stub->GetJob(&context, {}, &job).error_code() == grpc::StatusCode::UNAUTHENTICATED);
  }
  const std::string line = "GetJob from ipv4:127.0.0.1:";
  const std::string& said = closed.ReadUntil(line);
  const size_t first = said.find(line);
  REQUIRE(first != std::string::npos);
  closed.Signal(SIGTERM);
  CHECK(closed.Wait() == 0);
  CHECK(Contains(closed.text(), "ended with TOKEN_INVALID"));
  CHECK(closed.text().find(line, first + 1) == std::string::npos);  // once a minute
  CHECK_FALSE(Contains(closed.text(), "a-guess-of-somebody"));
}

// Needs the right to mount; elsewhere nothing is tested.
TEST_CASE("a start on a full disk says what can be removed by hand") {
  const TemporaryFolder folder;
  const std::string disk = (folder.path() / "disk").string();
  std::filesystem::create_directory(disk);
  if (mount("none", disk.c_str(), "tmpfs", 0, "size=4m") != 0) {
    WARN("tmpfs cannot be mounted here");
    return;
  }
  const std::vector<std::string> arguments = {"--data-dir",  disk + "/data", "--listen",
                                              "127.0.0.1:0", "--threads",    "1"};
  std::filesystem::create_directories(disk + "/data");
  const std::string fill = disk + "/fill";
  {
    std::ofstream file(fill, std::ios::binary);
    const std::string page(4096, 'x');
    while (file.write(page.data(), 4096).flush()) {
    }
  }
  // What fails: the lock, the index of the database's log, its pages.
  const uintmax_t room = GENERATE(0, 32 << 10, 64 << 10);
  std::filesystem::resize_file(fill, std::filesystem::file_size(fill) / 4096 * 4096 - room);
  Process full(arguments);
  const int code = full.Wait();
  const std::string text = full.text();
  umount(disk.c_str());
  INFO(text);
  CHECK(code == 3);
  CHECK(Contains(text, "a start needs up to 16 MiB"));
  CHECK(Contains(text, disk + "/data/uploads"));
  CHECK_FALSE(Contains(text, "seedlm artifacts delete"));
}

TEST_CASE("--check-config says of files what a start would say") {
  const TemporaryFolder folder;
  const auto file = [&folder](const std::string& name) { return (folder.path() / name).string(); };
  std::ofstream(file("cert.pem")) << "no PEM";
  std::ofstream(file("tokens")) << "nonsense\n";
  std::ofstream(file("keys")) << "[default]\naws_access_key_id = A\naws_secret_access_key = S\n";
  std::filesystem::permissions(file("keys"), std::filesystem::perms(0644));
  struct Row {
    std::vector<std::string> arguments;
    std::string named;
    int code;
  };
  const std::vector<Row> cases = {
      {{"--tls-cert", file("none.pem"), "--tls-key", file("none.pem")}, "none.pem", 3},
      {{"--tls-cert", file("cert.pem"), "--tls-key", file("cert.pem")}, "no certificate", 2},
      {{"--tokens", file("tokens")}, "tokens:1: ", 2},
      {{"--s3-credentials", file("keys")}, "keys", 3},
      {{"--storage-root", file("none")}, "none", 3},
      {{"--s3-endpoint", "nonsense"}, "nonsense", 2},
      {{"--backend", "abacus"}, "abacus", 2},
      {{"--listen", "unix:" + file("none/s.sock")}, "No such file", 3},
      {{"--listen", "unix:" + file("keys")}, "no socket", 3},
      {{"--data-dir", file("keys")}, "keys", 2},
      {{"--data-dir", file("none/data")}, "none/data", 3},
      {{"--data-dir", "/proc/seedlm"}, "--data-dir: /proc/seedlm", 3},
      {{"--listen", "unix:" + file("s"), "--listen", "unix:" + file("s")}, "is given twice", 2},
  };
  for (const auto& [arguments, named, code] : cases) {
    CAPTURE(named);
    const bool elsewhere = arguments.front() == "--data-dir";
    const std::vector<std::string> all = elsewhere ? arguments : Arguments(folder, arguments);
    Process start(all);
    CHECK(start.Wait() == code);
    CHECK(Contains(start.text(), named));
    std::vector<std::string> checked = all;
    checked.emplace_back("--check-config");
    Process check(checked);
    CHECK(check.Wait() == code);
    CHECK(check.text().starts_with(start.text()));  // other faults may follow from it
  }
  // All that is wrong, a line each, with the setting and where it stands; the code is the first's.
  std::ofstream(file("wrong.toml")) << "threads = -1\ntokens = \"" << file("tokens") << "\"\n";
  Process all({"--config", file("wrong.toml"), "--data-dir", file("fresh"), "--tls-cert",
               file("cert.pem"), "--tls-key", file("none.pem"), "--s3-credentials", file("keys"),
               "--s3-endpoint", "nonsense", "--storage-root", file("none"), "--storage-root",
               file("nowhere"), "--check-config"});
  CHECK(all.Wait() == 2);
  const std::string begin = "seedlm-server: ";
  for (const std::string& line :
       {begin + file("wrong.toml") + ":1: threads: -1",
        begin + file("wrong.toml") + ":2: tokens: " + file("tokens") + ":1: ",
        begin + "--tls-cert: " + file("cert.pem") + ": holds no",
        begin + "--tls-key: " + file("none.pem") + ": ",
        begin + "--s3-credentials: " + file("keys") + ": ", std::string("the endpoint 'nonsense'"),
        begin + "--storage-root: " + file("none") + ": ",
        begin + "--storage-root: " + file("nowhere") + ": "}) {
    INFO(all.text());
    CAPTURE(line);
    CHECK(Contains(all.text(), line));
  }

  std::filesystem::permissions(file("keys"), std::filesystem::perms(0600));
  const std::filesystem::path fresh = folder.path() / "fresh";
  Process good({"--data-dir", fresh.string(), "--s3-credentials", file("keys"), "--s3-ca",
                file("none.pem"), "--index-cache", file("keys/index"), "--check-config"});
  CHECK(good.Wait() == 0);
  CHECK(Contains(good.text(), "warning: " + file("none.pem")));
  CHECK(Contains(good.text(), "warning: " + file("keys/index")));
  CHECK_FALSE(std::filesystem::exists(fresh));
}

TEST_CASE("streams that were closed at the start are nobody's") {
  const TemporaryFolder folder;
  Process process(Arguments(folder), {0, 1, 2});
  const std::filesystem::path database = folder.path() / "data/jobs.sqlite-wal";
  for (int i = 0; i < 600 && !std::filesystem::exists(database); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  REQUIRE(std::filesystem::exists(database));
  for (const int fd : {0, 1, 2}) CHECK(process.Descriptor(fd) == "/dev/null");
  process.Signal(SIGTERM);
  CHECK(process.Wait() == 0);
  Process print({"--print-settings"}, {1});
  CHECK(print.Wait() == 3);  // it could not be told
}

TEST_CASE("watchers need no threads of the server") {
  const TemporaryFolder folder;
  Process process(Arguments(folder, {"--storage-root", folder.path().string()}));
  const auto channel = grpc::CreateChannel(AddressOf(process), grpc::InsecureChannelCredentials());
  const auto stub = v1::CompressionService::NewStub(channel);
  v1::WatchJobRequest request;
  request.set_name(StartSlowJob(folder, *stub));

  constexpr size_t kWatchers = 500;
  std::vector<grpc::ClientContext> contexts(kWatchers);
  std::vector<std::unique_ptr<grpc::ClientReader<v1::JobEvent>>> readers;
  ptrdiff_t threads_with_one = 0;
  for (grpc::ClientContext& context : contexts) {
    readers.push_back(stub->WatchJob(&context, request));
    v1::JobEvent event;
    REQUIRE(readers.back()->Read(&event));
    CHECK(event.has_snapshot());
    if (readers.size() == 1) threads_with_one = process.CountThreads();
  }
  // gRPC's own pools may still grow to their limits; those know nothing of streams.
  CHECK(process.CountThreads() < threads_with_one + 50);
  for (grpc::ClientContext& context : contexts) context.TryCancel();
  for (const auto& reader : readers) {
    CHECK(reader->Finish().error_code() == grpc::StatusCode::CANCELLED);
  }
  process.Signal(SIGTERM);
  CHECK(process.Wait() == 0);
}

TEST_CASE("what keeps a server from starting is one line on stderr and exit 3, or 2 if it stays") {
  const TemporaryFolder folder;
  Process running(Arguments(folder));
  const std::string address = AddressOf(running);
  const TemporaryFolder other;
  std::ofstream(other.path() / "file") << "x";
  struct Row {
    std::vector<std::string> arguments;
    std::string named;
    int code;
  };
  const std::vector<Row> cases = {
      {Arguments(other, {"--listen", address}), address, 3},
      {Arguments(folder), (folder.path() / "data").string(), 3},
      {Arguments(other, {"--storage-root", (other.path() / "missing").string()}), "missing", 3},
      {Arguments(other, {"--storage-root", (other.path() / "data/artifacts").string()}),
       "data directory", 2},
      {{"--data-dir", (other.path() / "file").string(), "--listen", "127.0.0.1:0"}, "file", 2},
      {Arguments(other, {"--backend", "abacus"}), "abacus", 2},
  };
  for (const auto& [arguments, named, code] : cases) {
    CAPTURE(named);
    Process process(arguments);
    CHECK(process.Wait() == code);
    INFO(process.text());
    CHECK(process.text().starts_with("seedlm-server: "));
    CHECK(std::count(process.text().begin(), process.text().end(), '\n') == 1);
    CHECK(Contains(process.text(), named));
  }
  running.Signal(SIGTERM);
  CHECK(running.Wait() == 0);
}

}  // namespace
}  // namespace seedlm::server
