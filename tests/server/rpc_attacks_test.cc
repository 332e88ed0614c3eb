// What a hostile client may try, one test for each. Traversal and symbolic links: see
// storage_roots_test and artifact_name_test for all forms, here that they are refused from outside.
// Forged tokens, foreign names, replayed requests: rpc_doors_test. Plaintext: rpc_tls_test.
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <memory>
#include <sstream>
#include <thread>

#include "grpcpp/generic/generic_stub.h"
#include "kernels/checksum/crc32c.h"
#include "server/storage/unique_fd.h"
#include "spdlog/logger.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = grpc::StatusCode;
using std::chrono::milliseconds;

constexpr size_t kMiB = size_t{1} << 20;

grpc::Status Ping(RpcFixture& fixture) {
  grpc::ClientContext context;
  v1::Capabilities capabilities;
  return fixture.jobs().GetCapabilities(&context, {}, &capabilities);
}

// A TCP connection that says nothing.
UniqueFd Connect(const std::string& address) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  REQUIRE(connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
  return fd;
}

// Whether the other side has closed it, within a generous time.
bool IsClosed(const UniqueFd& fd) {
  const timeval patience{20, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char byte = 0;
  ssize_t count = 0;
  while ((count = recv(fd.get(), &byte, 1, 0)) > 0) {  // HTTP/2 settings of one that is open
  }
  return count == 0 || errno == ECONNRESET;
}

bool PingSucceedsSoon(RpcFixture& fixture) {
  for (int i = 0; i < 200; ++i) {
    if (Ping(fixture).ok()) return true;
    std::this_thread::sleep_for(milliseconds(50));
  }
  return false;
}

TEST_CASE("traversal: no name leads out of an artifact or a storage root") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  v1::WriteArtifactResponse written;
  for (const std::string path :
       {"artifacts/a/files/../../../jobs.sqlite", "artifacts/../files/x", "artifacts/a/files//x",
        "artifacts/a/files/x/..", "artifacts/./files/x", "artifacts/a/files/.seedlm-result",
        "artifacts/a/files/x\\y", "artifacts/a/files/%2e%2e/x"}) {
    INFO(path);
    const grpc::Status status = fixture.Upload({.resource = path, .data = "x"}, &written);
    CHECK(status.error_code() == Code::INVALID_ARGUMENT);
  }
  v1::Job job;
  for (const std::string name : {"../in.safetensors", "%2e%2e/in.safetensors", "x/../../etc/passwd",
                                 "..%2f..%2fetc/passwd"}) {
    INFO(name);
    v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "out.safetensors");
    request.mutable_job()->mutable_source()->set_uri("file://" + fixture.root().string() + "/" +
                                                     name);
    CHECK(fixture.Create(request, &job).error_code() == Code::INVALID_ARGUMENT);
    request = fixture.FileJob("in.safetensors", name);
    CHECK(fixture.Create(request, &job).error_code() == Code::INVALID_ARGUMENT);
  }
}

TEST_CASE("symbolic links: none leads a job out of a storage root, neither to read nor to write") {
  RpcFixture fixture;
  const TemporaryFolder outside;
  WriteCheckpoint(outside.path() / "secret.safetensors", SmallTensors());
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  fs::create_symlink(outside.path() / "secret.safetensors", fixture.root() / "link.safetensors");
  fs::create_directory_symlink(outside.path(), fixture.root() / "way");
  fs::create_directory(fixture.root() / "model");
  fs::create_symlink(outside.path() / "secret.safetensors",
                     fixture.root() / "model/model.safetensors");
  v1::Job job;
  for (const auto& [source, output] : std::vector<std::pair<std::string, std::string>>{
           {"link.safetensors", "out.safetensors"},
           {"way/secret.safetensors", "out.safetensors"},
           {"model", "out"},
           {"in.safetensors", "way/out.safetensors"}}) {
    INFO(source << " -> " << output);
    const grpc::Status status = fixture.Create(fixture.FileJob(source, output), &job);
    CHECK(status.error_code() == Code::PERMISSION_DENIED);
    CHECK(Explain(status).info.reason() == "OUTSIDE_STORAGE_ROOT");
  }
  CHECK(std::distance(fs::directory_iterator(outside.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a link that is swung round after the job was admitted leads nowhere, too") {
  RpcFixture fixture;
  const TemporaryFolder outside;
  fs::create_directory(fixture.root() / "real");
  WriteCheckpoint(fixture.root() / "real/in.safetensors", SmallTensors());
  WriteCheckpoint(outside.path() / "in.safetensors", SmallTensors(3));
  // A slow job holds both workers, so that the second is looked at again when it begins.
  WriteCheckpoint(fixture.root() / "slow.safetensors", SlowTensors());
  const std::string slow = fixture.MustCreateSlow();
  fixture.AwaitState(slow, v1::JOB_STATE_RUNNING);
  const std::string name = fixture.MustCreate(fixture.FileJob("real/in.safetensors", "out"));
  const fs::path real = fixture.root() / "real", swung = fixture.root() / "swung";
  fs::create_directory_symlink(outside.path(), swung);
  REQUIRE(renameat2(AT_FDCWD, swung.c_str(), AT_FDCWD, real.c_str(), RENAME_EXCHANGE) == 0);
  v1::Job job;
  REQUIRE(fixture.Cancel(slow, &job).ok());
  job = fixture.Await(name);
  // It failed, or was done before the swing; never with what is outside.
  if (job.state() == v1::JOB_STATE_FAILED) {
    CHECK(job.error().code() == static_cast<int>(Code::PERMISSION_DENIED));
  } else {
    CHECK(job.progress().tensors_done() == 2);
  }
}

TEST_CASE("oversized messages are refused, and memory does not grow with them") {
  RpcFixture fixture;
  const std::string data(16 * kMiB, 'x');
  v1::WriteArtifactResponse written;
  const int64_t before = ResidentBytes();
  for (int i = 0; i < 50; ++i) {
    const grpc::Status status = fixture.Upload(
        {.resource = "artifacts/a/files/x", .data = data, .chunk_bytes = data.size()}, &written);
    CHECK(status.error_code() == Code::RESOURCE_EXHAUSTED);
  }
  CHECK(ResidentBytes() - before < static_cast<int64_t>(256 * kMiB));  // of 800 that were sent
  const grpc::Status chunk = fixture.Upload({.resource = "artifacts/a/files/x",
                                             .data = data.substr(0, 3 * kMiB),
                                             .chunk_bytes = 3 * kMiB},
                                            &written);
  CHECK(chunk.error_code() == Code::INVALID_ARGUMENT);
  CHECK(Explain(chunk).info.reason() == "CHUNK_TOO_LARGE");
  CHECK(Ping(fixture).ok());
}

TEST_CASE("header bomb, HTTP/2: more metadata than the limit is refused, and the server lives") {
  RpcFixture fixture;
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    for (int j = 0; j < 64; ++j) {
      context.AddMetadata("x-bomb-" + std::to_string(j), std::string(4096, 'x'));
    }
    v1::Capabilities capabilities;
    // The call is refused, or the connection closed while the headers are still on their way.
    const Code code = fixture.jobs().GetCapabilities(&context, {}, &capabilities).error_code();
    CHECK((code == Code::RESOURCE_EXHAUSTED || code == Code::UNAVAILABLE));
  }
  CHECK(PingSucceedsSoon(fixture));
}

TEST_CASE("header bomb, safetensors: a length that lies allocates nothing") {
  RpcFixture fixture;
  const int64_t before = ResidentBytes();
  int number = 0;
  for (const uint64_t length : {UINT64_MAX, uint64_t{1} << 62, uint64_t{1} << 40,
                                uint64_t{100'000'001}, uint64_t{99'000'000}}) {
    std::string file(8, '\0');
    for (int i = 0; i < 8; ++i) file[static_cast<size_t>(i)] = static_cast<char>(length >> 8 * i);
    file += "{\"a\":";
    const std::string id = "artifacts/bomb" + std::to_string(number++);
    v1::WriteArtifactResponse written;
    REQUIRE(
        fixture.Upload({.resource = id + "/files/model.safetensors", .data = file}, &written).ok());
    v1::CreateJobRequest request;
    request.mutable_job()->mutable_source()->set_artifact(id);
    request.mutable_job()->mutable_destination()->set_managed(true);
    v1::Job job;
    const grpc::Status status = fixture.Create(request, &job);
    INFO(status.error_message());
    CHECK(status.error_code() == Code::INVALID_ARGUMENT);
    CHECK(Explain(status).info.reason() == "CHECKPOINT_INVALID");
  }
  CHECK(ResidentBytes() - before < static_cast<int64_t>(64 * kMiB));
}

TEST_CASE("slow writer: an upload on which nothing comes is ended, and what arrived is kept") {
  RpcFixture fixture([](ServerOptions& options) { options.upload_idle = milliseconds(200); });
  const std::string resource = "artifacts/slow/files/x";
  for (const bool first : {true, false}) {  // before the first message, and after it
    grpc::ClientContext context;
    v1::WriteArtifactResponse response;
    const auto writer = fixture.artifacts().WriteArtifact(&context, &response);
    if (!first) {
      v1::WriteArtifactRequest request;
      request.set_resource_name(resource);
      request.set_data("hello");
      request.set_crc32c(checksum::Crc32c("hello"));
      REQUIRE(writer->Write(request));
    }
    const grpc::Status status = writer->Finish();  // without WritesDone: it only waits
    CHECK(status.error_code() == Code::ABORTED);
    CHECK(Explain(status).info.reason() == "UPLOAD_IDLE");
    CHECK(Explain(status).has_retry);
  }
  v1::QueryWriteStatusResponse progress;
  REQUIRE(fixture.Query(resource, &progress).ok());
  CHECK(progress.committed_size() == 5);
  // The file is free again, and goes on where it was.
  v1::WriteArtifactResponse response;
  CHECK(fixture.Upload({.resource = resource, .data = "hello world", .from = 5}, &response).ok());
}

TEST_CASE("an upload that keeps sending outlives the time that silence may take") {
  RpcFixture fixture([](ServerOptions& options) { options.upload_idle = milliseconds(2000); });
  grpc::ClientContext context;
  v1::WriteArtifactResponse response;
  const auto writer = fixture.artifacts().WriteArtifact(&context, &response);
  v1::WriteArtifactRequest request;
  request.set_resource_name("artifacts/steady/files/x");
  for (int i = 0; i < 12; ++i) {
    request.set_offset(i);
    request.set_data("x");
    request.set_crc32c(checksum::Crc32c("x"));
    request.set_finish(false);
    REQUIRE(writer->Write(request));
    std::this_thread::sleep_for(milliseconds(250));
  }
  writer->WritesDone();
  CHECK(writer->Finish().error_code() == Code::INVALID_ARGUMENT);  // no finish: all was taken
  v1::QueryWriteStatusResponse progress;
  REQUIRE(fixture.Query("artifacts/steady/files/x", &progress).ok());
  CHECK(progress.committed_size() == 12);
}

TEST_CASE("an owner has so many uploads at a time, and so many bytes") {
  RpcFixture fixture([](ServerOptions& options) {
    options.max_owner_uploads = 2;
    options.max_owner_bytes = 1000;
  });
  v1::WriteArtifactResponse response;
  {
    std::vector<grpc::ClientContext> contexts(3);
    std::vector<std::unique_ptr<grpc::ClientWriter<v1::WriteArtifactRequest>>> writers;
    for (size_t i = 0; i < contexts.size(); ++i) {
      writers.push_back(fixture.artifacts().WriteArtifact(&contexts[i], &response));
      v1::WriteArtifactRequest request;
      request.set_resource_name("artifacts/many/files/" + std::to_string(i));
      writers.back()->Write(request);
      if (i == 2) continue;
      v1::QueryWriteStatusResponse progress;  // until the server has opened it
      while (!fixture.Query(request.resource_name(), &progress).ok()) {
        std::this_thread::sleep_for(milliseconds(5));
      }
    }
    const grpc::Status refused = writers.back()->Finish();
    CHECK(refused.error_code() == Code::RESOURCE_EXHAUSTED);
    CHECK(Explain(refused).info.reason() == "OWNER_UPLOADS");
    CHECK(Explain(refused).has_retry);
    for (size_t i = 0; i < 2; ++i) {
      contexts[i].TryCancel();
      CHECK(writers[i]->Finish().error_code() == Code::CANCELLED);
    }
  }
  // Places come free soon after their streams.
  grpc::Status status;
  for (int i = 0; i < 200; ++i) {
    status = fixture.Upload({.resource = "artifacts/a/files/x", .data = std::string(600, 'x')},
                            &response);
    if (status.ok()) break;
    std::this_thread::sleep_for(milliseconds(20));
  }
  REQUIRE(status.ok());
  status =
      fixture.Upload({.resource = "artifacts/b/files/x", .data = std::string(600, 'x')}, &response);
  INFO(status.error_message());
  CHECK(status.error_code() == Code::RESOURCE_EXHAUSTED);
  CHECK(Explain(status).info.reason() == "OWNER_BYTES");
  CHECK(Explain(status).info.metadata().at("limit") == "1000");
  // A managed result counts beforehand.
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "out.safetensors");
  request.mutable_job()->mutable_destination()->set_managed(true);
  v1::Job job;
  status = fixture.Create(request, &job);
  CHECK(Explain(status).info.reason() == "OWNER_BYTES");
  grpc::ClientContext context;
  v1::Capabilities capabilities;
  REQUIRE(fixture.jobs().GetCapabilities(&context, {}, &capabilities).ok());
  CHECK(capabilities.max_owner_bytes() == 1000);
  CHECK(capabilities.max_owner_uploads() == 2);
  CHECK(capabilities.upload_idle_seconds() == 60);
}

TEST_CASE("an owner's jobs that wait count with what they will make") {
  RpcFixture fixture([](ServerOptions& options) { options.max_owner_bytes = 150'000; });
  WriteCheckpoint(fixture.root() / "in.safetensors", {{"a.weight", 512, 256}});  // 66 KB and blocks
  const std::string slow = fixture.MustCreateSlow();
  v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "-");
  request.mutable_job()->mutable_destination()->set_managed(true);
  const std::string waiting = fixture.MustCreate(request);
  const auto is_refused = [](const grpc::Status& status) {
    INFO(status.error_message());
    CHECK(status.error_code() == Code::RESOURCE_EXHAUSTED);
    CHECK(Explain(status).info.reason() == "OWNER_BYTES");
  };
  v1::Job job;
  v1::WriteArtifactResponse response;
  is_refused(fixture.Create(request, &job));
  is_refused(fixture.Upload({.resource = "artifacts/a/files/x", .data = std::string(90'000, 'x')},
                            &response));
  // A job that makes room by its end takes it again when it is resumed.
  REQUIRE(fixture.Cancel(waiting, &job).ok());
  REQUIRE(fixture.AwaitState(waiting, v1::JOB_STATE_CANCELLED).name() == waiting);
  const std::string second = fixture.MustCreate(request);
  grpc::ClientContext context;
  v1::ResumeJobRequest resume;
  resume.set_name(waiting);
  is_refused(fixture.jobs().ResumeJob(&context, resume, &job));
  REQUIRE(fixture.Cancel(slow, &job).ok());
  CHECK(fixture.Await(second).state() == v1::JOB_STATE_SUCCEEDED);
}

TEST_CASE("an owner has so many jobs at a time") {
  RpcFixture fixture([](ServerOptions& options) { options.max_owner_jobs = 1; });
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  const std::string slow = fixture.MustCreateSlow();
  v1::Job job;
  const grpc::Status status =
      fixture.Create(fixture.FileJob("in.safetensors", "out.safetensors"), &job);
  CHECK(status.error_code() == Code::RESOURCE_EXHAUSTED);
  CHECK(Explain(status).info.reason() == "OWNER_QUEUE_FULL");
  REQUIRE(fixture.Cancel(slow, &job).ok());
  fixture.Await(slow);
  fixture.Await(fixture.MustCreate(fixture.FileJob("in.safetensors", "out.safetensors")));
}

std::string Scrape(const std::string& address) {
  const UniqueFd fd = Connect(address);
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  REQUIRE(send(fd.get(), request.data(), request.size(), 0) ==
          static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t count = 0; (count = recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) {
    answer.append(buffer, static_cast<size_t>(count));
  }
  return answer;
}

TEST_CASE(
    "a flood of connections: those over the limit are closed, and the server serves after it") {
  std::ostringstream log;
  RpcFixture fixture([&log](ServerOptions& options) {
    options.max_connections = 20;
    options.metrics = "127.0.0.1:0";
    options.log = std::make_shared<spdlog::logger>(
        "flood", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  });
  REQUIRE(Ping(fixture).ok());  // one of the twenty
  std::vector<UniqueFd> flood;
  for (int i = 0; i < 100; ++i) flood.push_back(Connect(fixture.server().addresses()[0]));
  for (size_t i = 20; i < flood.size(); ++i) CHECK(IsClosed(flood[i]));
  CHECK(Ping(fixture).ok());  // who is in stays in
  CHECK_THAT(Scrape(fixture.server().metrics_address()),
             Catch::Contains("seedlm_connections_refused_total 81"));
  flood.clear();
  fixture.Restart();  // another server, another client
  CHECK(PingSucceedsSoon(fixture));
  fixture.Stop();
  const std::string told = log.str();
  CHECK_THAT(told, Catch::Contains("1 connection was closed at once: 20 are open"));
  CHECK(told.find("--max-connections") == told.rfind("--max-connections"));  // once a minute
}

TEST_CASE("without file descriptors a server waits, and goes on when there are some") {
  RpcFixture fixture;
  const std::string address = fixture.server().addresses()[0];
  rlimit normal{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &normal) == 0);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 50; ++i) {
    clients.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  // From here on nobody in this process gets a descriptor: the numbers below are taken.
  rlimit none = normal;
  none.rlim_cur = 8;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  for (const UniqueFd& client : clients) {
    (void)connect(client.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
  }
  std::this_thread::sleep_for(milliseconds(300));
  REQUIRE(setrlimit(RLIMIT_NOFILE, &normal) == 0);
  clients.clear();
  CHECK(PingSucceedsSoon(fixture));
}

TEST_CASE("reflection: a hundred streams that say nothing do not take a hundred threads") {
  RpcFixture fixture;
  const auto threads = [] {
    return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator());
  };
  REQUIRE(Ping(fixture).ok());
  const auto before = threads();
  grpc::GenericStub stub(fixture.channel());
  grpc::CompletionQueue queue;
  std::vector<grpc::ClientContext> contexts(100);
  std::vector<std::unique_ptr<grpc::GenericClientAsyncReaderWriter>> calls;
  void* tag = nullptr;
  bool ok = false;
  for (grpc::ClientContext& context : contexts) {
    calls.push_back(stub.PrepareCall(
        &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue));
    calls.back()->StartCall(nullptr);
    REQUIRE(queue.Next(&tag, &ok));
  }
  CHECK(Ping(fixture).ok());
  CHECK(threads() - before < 60);
  for (grpc::ClientContext& context : contexts) context.TryCancel();
  std::vector<grpc::Status> ends(calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    calls[i]->Finish(&ends[i], nullptr);
    REQUIRE(queue.Next(&tag, &ok));
  }
}

}  // namespace
}  // namespace seedlm::server
