// server/server: start, health, reflection, channels, shutdown, restart.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "server/server.h"
#include "spdlog/logger.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

grpc::health::v1::HealthCheckResponse::ServingStatus Health(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  const auto stub = grpc::health::v1::Health::NewStub(channel);
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  REQUIRE(stub->Check(&context, request, &response).ok());
  return response.status();
}

// What reflection answers to "list services", as bytes: its messages have no public header.
std::string ListedServices(const std::shared_ptr<grpc::Channel>& channel) {
  const std::string request("\x3a\x01*", 3);  // list_services = 7: "*"
  const grpc::Slice slice(request);
  const grpc::ByteBuffer message(&slice, 1);
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto call = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    REQUIRE(queue.Next(&tag, &ok));
    return ok;
  };
  call->StartCall(nullptr);
  REQUIRE(wait());
  call->Write(message, nullptr);
  REQUIRE(wait());
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  REQUIRE(wait());
  std::vector<grpc::Slice> slices;
  REQUIRE(reply.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& part : slices) bytes.append(part.begin(), part.end());
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return bytes;
}

grpc::Status Ping(const std::shared_ptr<grpc::Channel>& channel) {
  const auto stub = v1::CompressionService::NewStub(channel);
  grpc::ClientContext context;
  v1::Capabilities capabilities;
  return stub->GetCapabilities(&context, {}, &capabilities);
}

TEST_CASE("health answers for the whole and for each service") {
  RpcFixture fixture;
  for (const std::string service :
       {"", "seedlm.v1.CompressionService", "seedlm.v1.ArtifactService"}) {
    CHECK(Health(fixture.channel(), service) == grpc::health::v1::HealthCheckResponse::SERVING);
  }
}

TEST_CASE("health says NOT_SERVING while the server drains") {
  RpcFixture fixture;
  const auto stub = grpc::health::v1::Health::NewStub(fixture.channel());
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("seedlm.v1.CompressionService");
  const auto watch = stub->Watch(&context, request);
  grpc::health::v1::HealthCheckResponse response;
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == grpc::health::v1::HealthCheckResponse::SERVING);
  std::jthread stopper([&] { fixture.server().Shutdown(std::chrono::milliseconds(500)); });
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  context.TryCancel();
  watch->Finish();
}

TEST_CASE("health says NOT_SERVING while the data directory is gone") {
  std::string data_dir;
  RpcFixture fixture([&](ServerOptions& options) {
    options.health_interval = std::chrono::milliseconds(20);
    data_dir = options.data_dir;
  });
  const auto stub = grpc::health::v1::Health::NewStub(fixture.channel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  const auto watch = stub->Watch(&context, {});
  grpc::health::v1::HealthCheckResponse response;
  const auto next = [&] {
    REQUIRE(watch->Read(&response));
    return response.status();
  };
  CHECK(next() == grpc::health::v1::HealthCheckResponse::SERVING);
  std::filesystem::rename(data_dir, data_dir + ".aside");
  CHECK(next() == grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  std::filesystem::rename(data_dir + ".aside", data_dir);
  CHECK(next() == grpc::health::v1::HealthCheckResponse::SERVING);
  context.TryCancel();
  watch->Finish();
}

TEST_CASE("reflection lists the services") {
  RpcFixture fixture;
  const std::string services = ListedServices(fixture.channel());
  for (const std::string service :
       {"seedlm.v1.CompressionService", "seedlm.v1.ArtifactService", "grpc.health.v1.Health"}) {
    CHECK(Contains(services, service));
  }
}

TEST_CASE("without an address the server is reached in the process alone") {
  RpcFixture with_address;
  TemporaryFolder folder;
  ServerOptions options;
  options.data_dir = (folder.path() / "data").string();
  options.storage_roots = {"/"};
  options.cancel_on_shutdown = true;
  auto server = Server::Start(options);
  INFO(server.status().ToString());
  REQUIRE(server.ok());
  CHECK((*server)->addresses().empty());
  const auto channel = (*server)->InProcessChannel();
  CHECK(Ping(channel).ok());

  // The same path: a job, watched, over that channel.
  WriteCheckpoint(folder.path() / "in.safetensors", SmallTensors());
  const auto stub = v1::CompressionService::NewStub(channel);
  grpc::ClientContext create_context;
  v1::CreateJobRequest request;
  request.mutable_job()->mutable_source()->set_uri("file://" +
                                                   (folder.path() / "in.safetensors").string());
  request.mutable_job()->mutable_destination()->set_uri(
      "file://" + (folder.path() / "out.safetensors").string());
  v1::Job job;
  REQUIRE(stub->CreateJob(&create_context, request, &job).ok());
  grpc::ClientContext watch_context;
  v1::WatchJobRequest watch;
  watch.set_name(job.name());
  const auto reader = stub->WatchJob(&watch_context, watch);
  v1::JobEvent event;
  v1::JobState last = v1::JOB_STATE_UNSPECIFIED;
  while (reader->Read(&event)) {
    if (event.event_case() == v1::JobEvent::kState) last = event.state();
  }
  CHECK(reader->Finish().ok());
  CHECK(last == v1::JOB_STATE_SUCCEEDED);
  CHECK(std::filesystem::exists(folder.path() / "out.safetensors"));
  (*server)->Shutdown(std::chrono::seconds(1));
}

TEST_CASE("a Unix socket serves, is not taken from a live server, and is from a dead one") {
  TemporaryFolder folder;
  const std::string path = (folder.path() / "s.sock").string();
  const auto listen = [&](ServerOptions& options) { options.listen = {"unix:" + path}; };
  {
    RpcFixture first(listen);
    CHECK(Ping(first.channel()).ok());
    ServerOptions options = first.options();
    options.data_dir = (folder.path() / "other").string();
    const absl::Status taken = Server::Start(options).status();
    CHECK(absl::IsFailedPrecondition(taken));
    CHECK(Contains(std::string(taken.message()), path));
    CHECK(Ping(first.channel()).ok());
  }
  // A socket file that a killed server left.
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), name.sun_path);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0);
  close(fd);
  REQUIRE(std::filesystem::exists(path));
  RpcFixture second(listen);
  CHECK(Ping(second.channel()).ok());
}

TEST_CASE("several addresses at once") {
  TemporaryFolder folder;
  const std::string socket = "unix:" + (folder.path() / "s.sock").string();
  RpcFixture fixture([&](ServerOptions& options) { options.listen = {"127.0.0.1:0", socket}; });
  REQUIRE(fixture.server().addresses().size() == 2);
  CHECK_FALSE(fixture.server().addresses()[0].ends_with(":0"));
  for (const std::string& address : fixture.server().addresses()) {
    CHECK(Ping(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())).ok());
  }
}

TEST_CASE("a server that cannot start says why") {
  RpcFixture running;
  TemporaryFolder folder;
  ServerOptions options = running.options();
  options.data_dir = (folder.path() / "data").string();
  std::string named;
  absl::StatusCode code = absl::StatusCode::kFailedPrecondition;
  SECTION("an address in use") {
    options.listen = running.server().addresses();
    named = options.listen.front();
  }
  SECTION("a data directory that another server holds") {
    options.data_dir = running.options().data_dir;
    named = options.data_dir;
  }
  SECTION("a data directory that is a file") {
    std::ofstream(options.data_dir) << "x";
    named = options.data_dir;
    code = Server::Start(options).status().code();  // whatever the system says to that
  }
  SECTION("a storage root that is not there") {
    options.storage_roots = {(folder.path() / "missing").string()};
    named = options.storage_roots.front();
    code = absl::StatusCode::kNotFound;
  }
  SECTION("a backend that nobody knows") {
    options.backend = "abacus";
    named = "abacus";
    code = absl::StatusCode::kInvalidArgument;
  }
  SECTION("plaintext for all the world") {
    options.listen = {"0.0.0.0:0"};
    named = "0.0.0.0:0";
    code = absl::StatusCode::kInvalidArgument;
  }
  const absl::Status status = Server::Start(options).status();
  INFO(status.ToString());
  CHECK(!status.ok());
  CHECK(status.code() == code);
  CHECK(Contains(std::string(status.message()), named));
  CHECK_FALSE(Contains(std::string(status.message()), "\n"));
  CHECK(Ping(running.channel()).ok());
}

TEST_CASE("what did not end goes on at the next start; what did stays") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  const std::string done = fixture.MustCreate(fixture.FileJob("in.safetensors", "o.safetensors"));
  CHECK(fixture.Await(done).state() == v1::JOB_STATE_SUCCEEDED);
  const std::string interrupted = fixture.MustCreateSlow();
  fixture.AwaitState(interrupted, v1::JOB_STATE_RUNNING);
  fixture.Restart();

  v1::Job job;
  REQUIRE(fixture.Get(done, &job).ok());
  CHECK(job.state() == v1::JOB_STATE_SUCCEEDED);
  CHECK(job.attempt() == 1);
  REQUIRE(fixture.Get(interrupted, &job).ok());
  CHECK((job.state() == v1::JOB_STATE_QUEUED || job.state() == v1::JOB_STATE_RUNNING));
  CHECK(job.attempt() == 2);
  REQUIRE(fixture.Cancel(interrupted, &job).ok());
  fixture.AwaitState(interrupted, v1::JOB_STATE_CANCELLED);
}

TEST_CASE("calls end before the index is saved, and saving is given up when it takes too long") {
  const TemporaryFolder folder;
  const std::filesystem::path cache = folder.path() / "cache";
  std::filesystem::create_directory(cache);
  RpcFixture fixture([&](ServerOptions& options) {
    options.index_memory = int64_t{64} << 20;
    options.index_cache = cache.string();
    options.search = "index";
    options.backend = "cpu";
    options.save_index_for = std::chrono::milliseconds(300);
    options.fault_point = [](std::string_view step) {  // a disk that is busy
      if (step == "index.saving") std::this_thread::sleep_for(std::chrono::seconds(1));
    };
  });
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  const std::string name = fixture.MustCreate(fixture.FileJob("in.safetensors", "o.safetensors"));
  REQUIRE(fixture.Await(name).state() == v1::JOB_STATE_SUCCEEDED);
  // An upload that goes on.
  grpc::ClientContext context;
  v1::WriteArtifactResponse written;
  const auto upload = fixture.artifacts().WriteArtifact(&context, &written);
  v1::WriteArtifactRequest chunk;
  chunk.set_resource_name("artifacts/a/files/x");
  REQUIRE(upload->Write(chunk));

  std::atomic<bool> stopped = false;
  std::string not_kept;
  const auto begin = std::chrono::steady_clock::now();
  const std::jthread stopper([&] {
    not_kept = fixture.server().Shutdown(std::chrono::milliseconds(0));
    stopped = true;
  });
  CHECK_FALSE(upload->Finish().ok());
  CHECK_FALSE(stopped);
  while (!stopped && std::chrono::steady_clock::now() - begin < std::chrono::seconds(20)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  REQUIRE(stopped);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  CHECK(Contains(not_kept, "cells-4bit-2"));
  CHECK(Contains(not_kept, "stopped"));
  CHECK(std::filesystem::is_empty(cache));
}

TEST_CASE("a server that finds uploads and no jobs says so, and its database is nobody else's") {
  std::ostringstream log;
  const mode_t before = umask(0);
  RpcFixture fixture([&log](ServerOptions& options) {
    options.log = std::make_shared<spdlog::logger>(
        "start", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  });
  umask(before);
  v1::WriteArtifactResponse response;
  REQUIRE(fixture.Upload({"artifacts/a/files/f", "some bytes"}, &response).ok());
  const std::string database = fixture.options().data_dir + "/jobs.sqlite";
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info {};
    REQUIRE(stat((database + suffix).c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }
  fixture.Stop();
  CHECK_FALSE(Contains(log.str(), "no job is known"));
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(database + suffix);
  fixture.Restart();
  std::string data;
  CHECK(fixture.Download("artifacts/a/files/f", 0, &data).ok());
  CHECK(data == "some bytes");
  fixture.Stop();
  CHECK(Contains(log.str(),
                 database + ": was missing beside artifacts and uploads: no job is known"));
}

TEST_CASE("the server's backend is what jobs run on that do not choose") {
  RpcFixture fixture([](ServerOptions& options) { options.backend = "reference"; });
  WriteCheckpoint(fixture.root() / "in.safetensors", {{"layer.weight"}});
  std::vector<v1::JobEvent> events;
  const std::string name = fixture.MustCreate(fixture.FileJob("in.safetensors", "o.safetensors"));
  REQUIRE(fixture.Watch(name, 0, {}, &events).ok());
  int tensors = 0;
  for (const v1::JobEvent& event : events) {
    if (!event.has_tensor()) continue;
    ++tensors;
    CHECK(event.tensor().backend() == "reference");
  }
  CHECK(tensors == 1);
}

}  // namespace
}  // namespace seedlm::server
