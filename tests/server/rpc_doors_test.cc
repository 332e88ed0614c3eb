// Tokens, roles and owners, from the outside: whole servers, real calls.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>

#include "google/protobuf/descriptor.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "server/auth/token_table.h"
#include "tests/server/certificates.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

using Code = grpc::StatusCode;

// A server with tokens: alice and bob (user), carol (readonly, of alice's owner), root (admin).
struct DoorFixture {
  DoorFixture() : server([this](ServerOptions& options) { options.tokens = WriteTokens(); }) {}
  std::string WriteTokens() {
    std::string text;
    for (const auto& [token, rest] : rows) text += ToHex(DigestOf(token)) + " " + rest + "\n";
    return WritePem(folder.path() / "tokens", text);
  }

  TemporaryFolder folder;
  std::map<std::string, std::string> rows = {{"token-of-alice", "alice user"},
                                             {"token-of-bob", "bob user"},
                                             {"token-of-carol", "alice readonly"},
                                             {"token-of-root", "root admin"}};
  RpcFixture server;
};

// What one caller does. Calls of a client that has no token carry none.
class Client {
 public:
  Client(RpcFixture& server, std::string token) : server_(server), token_(std::move(token)) {}

  void Sign(grpc::ClientContext& context) const {
    if (!token_.empty()) context.AddMetadata("authorization", "Bearer " + token_);
  }

  grpc::Status Create(const v1::CreateJobRequest& request, v1::Job* job) {
    grpc::ClientContext context;
    Sign(context);
    return server_.jobs().CreateJob(&context, request, job);
  }
  grpc::Status Get(const std::string& name, v1::Job* job) {
    return CallJob<v1::GetJobRequest>(&v1::CompressionService::Stub::GetJob, name, job);
  }
  grpc::Status Cancel(const std::string& name, v1::Job* job) {
    return CallJob<v1::CancelJobRequest>(&v1::CompressionService::Stub::CancelJob, name, job);
  }
  grpc::Status Resume(const std::string& name, v1::Job* job) {
    return CallJob<v1::ResumeJobRequest>(&v1::CompressionService::Stub::ResumeJob, name, job);
  }
  grpc::Status Delete(const std::string& name) {
    google::protobuf::Empty nothing;
    return CallJob<v1::DeleteJobRequest>(&v1::CompressionService::Stub::DeleteJob, name, &nothing);
  }
  // The names of all jobs.
  std::vector<std::string> List() {
    grpc::ClientContext context;
    Sign(context);
    v1::ListJobsResponse response;
    REQUIRE(server_.jobs().ListJobs(&context, {}, &response).ok());
    std::vector<std::string> names;
    for (const v1::Job& job : response.jobs()) names.push_back(job.name());
    return names;
  }
  // Watches to the end.
  grpc::Status Watch(const std::string& name, v1::Job* last = nullptr) {
    grpc::ClientContext context;
    Sign(context);
    v1::WatchJobRequest request;
    request.set_name(name);
    const auto reader = server_.jobs().WatchJob(&context, request);
    v1::JobEvent event;
    while (reader->Read(&event)) {
    }
    const grpc::Status status = reader->Finish();
    if (status.ok() && last != nullptr) REQUIRE(Get(name, last).ok());
    return status;
  }

  grpc::Status Upload(const std::string& resource, const std::string& data) {
    grpc::ClientContext context;
    Sign(context);
    v1::WriteArtifactResponse response;
    return server_.Upload(context, {.resource = resource, .data = data}, &response);
  }
  grpc::Status Query(const std::string& resource) {
    grpc::ClientContext context;
    Sign(context);
    v1::QueryWriteStatusRequest request;
    request.set_resource_name(resource);
    v1::QueryWriteStatusResponse response;
    return server_.artifacts().QueryWriteStatus(&context, request, &response);
  }
  grpc::Status Read(const std::string& resource, std::string* data = nullptr) {
    grpc::ClientContext context;
    Sign(context);
    v1::ReadArtifactRequest request;
    request.set_resource_name(resource);
    const auto reader = server_.artifacts().ReadArtifact(&context, request);
    v1::ReadArtifactResponse chunk;
    while (reader->Read(&chunk)) {
      if (data != nullptr) *data += chunk.data();
    }
    return reader->Finish();
  }
  grpc::Status DeleteArtifact(const std::string& name) {
    grpc::ClientContext context;
    Sign(context);
    v1::DeleteArtifactRequest request;
    request.set_name(name);
    google::protobuf::Empty nothing;
    return server_.artifacts().DeleteArtifact(&context, request, &nothing);
  }
  grpc::Status Verify(const std::string& name) {
    grpc::ClientContext context;
    Sign(context);
    v1::VerifyArtifactRequest request;
    request.set_name(name);
    v1::VerifyArtifactResponse response;
    return server_.artifacts().VerifyArtifact(&context, request, &response);
  }
  // "OWNER: NAME".
  std::vector<std::string> ListArtifacts(int page_size = 0) {
    std::vector<std::string> names;
    v1::ListArtifactsRequest request;
    request.set_page_size(page_size);
    do {
      grpc::ClientContext context;
      Sign(context);
      v1::ListArtifactsResponse response;
      REQUIRE(server_.artifacts().ListArtifacts(&context, request, &response).ok());
      for (const v1::Artifact& artifact : response.artifacts()) {
        names.push_back(artifact.owner() + ": " + artifact.name());
      }
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    return names;
  }

 private:
  template <class Request, class Method, class Response>
  grpc::Status CallJob(Method method, const std::string& name, Response* response) {
    grpc::ClientContext context;
    Sign(context);
    Request request;
    request.set_name(name);
    return (server_.jobs().*method)(&context, request, response);
  }

  RpcFixture& server_;
  const std::string token_;
};

// One call of any method, with an empty request.
grpc::Status CallEmpty(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                       const std::vector<std::string>& authorizations) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  for (const std::string& value : authorizations) context.AddMetadata("authorization", value);
  const auto call = stub.PrepareCall(&context, path, &queue);
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    REQUIRE(queue.Next(&tag, &ok));
  };
  call->StartCall(nullptr);
  wait();
  const grpc::Slice empty;
  call->WriteLast(grpc::ByteBuffer(&empty, 1), grpc::WriteOptions(), nullptr);
  wait();
  grpc::ByteBuffer reply;  // if there is one, the status waits behind it
  call->Read(&reply, nullptr);
  wait();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  return status;
}

std::vector<std::string> AllMethods() {
  std::vector<std::string> paths;
  for (const char* service : {"seedlm.v1.CompressionService", "seedlm.v1.ArtifactService"}) {
    const auto* descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
    REQUIRE(descriptor != nullptr);
    for (int i = 0; i < descriptor->method_count(); ++i) {
      paths.push_back("/" + std::string(service) + "/" + descriptor->method(i)->name());
    }
  }
  return paths;
}

v1::CreateJobRequest ManagedJob(const std::string& artifact) {
  v1::CreateJobRequest request;
  request.mutable_job()->mutable_source()->set_artifact(artifact);
  request.mutable_job()->mutable_destination()->set_managed(true);
  return request;
}

std::string SmallCheckpoint(const TemporaryFolder& folder) {
  WriteCheckpoint(folder.path() / "small.safetensors", SmallTensors());
  return ReadWholeFile(folder.path() / "small.safetensors");
}

// A code, and that the answer of the server says nothing of the name's owner.
void CheckUnknown(const grpc::Status& status) {
  INFO(status.error_message());
  CHECK(status.error_code() == Code::NOT_FOUND);
  CHECK(status.error_message().find("alice") == std::string::npos);
}

TEST_CASE("no method answers without a token, or with a forged one, and all say the same") {
  DoorFixture fixture;
  const std::vector<std::string> paths = AllMethods();
  REQUIRE(paths.size() >= 14);
  const std::string digest = ToHex(DigestOf("token-of-alice"));
  const std::vector<std::vector<std::string>> forged = {
      {},
      {""},
      {"Bearer"},
      {"Bearer "},
      {"Bearer token-of-alic"},
      {"Bearer token-of-alice2"},
      {"Bearer  token-of-alice"},
      {"Bearer " + digest},  // who reads the file has no token yet
      {"Basic token-of-alice"},
      {"token-of-alice"},
      {"Bearer " + std::string(4000, 'x')},
      {"Bearer token-of-bob", "Bearer token-of-alice"},
  };
  std::string message;
  for (const std::string& path : paths) {
    for (const std::vector<std::string>& authorizations : forged) {
      INFO(path << " " << (authorizations.empty() ? "nothing" : authorizations.front()));
      const grpc::Status status = CallEmpty(fixture.server.channel(), path, authorizations);
      CHECK(status.error_code() == Code::UNAUTHENTICATED);
      CHECK(Explain(status).info.reason() ==
            (authorizations.empty() ? "TOKEN_MISSING" : "TOKEN_INVALID"));
      if (message.empty()) message = status.error_message();
      CHECK(status.error_message() == message);
    }
  }
  CHECK(CallEmpty(fixture.server.channel(), "/seedlm.v1.CompressionService/GetCapabilities",
                  {"bEaReR token-of-alice"})
            .ok());
}

TEST_CASE("health needs no token: it says nothing but whether the server serves") {
  DoorFixture fixture;
  const auto stub = grpc::health::v1::Health::NewStub(fixture.server.channel());
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckResponse response;
  CHECK(stub->Check(&context, {}, &response).ok());
  CHECK(response.status() == grpc::health::v1::HealthCheckResponse::SERVING);
}

TEST_CASE("a foreign job is not there, whatever is asked of it") {
  DoorFixture fixture;
  WriteCheckpoint(fixture.server.root() / "in.safetensors", SmallTensors());
  Client alice(fixture.server, "token-of-alice");
  Client bob(fixture.server, "token-of-bob");
  Client root(fixture.server, "token-of-root");
  v1::Job job;
  REQUIRE(alice.Create(fixture.server.FileJob("in.safetensors", "out.safetensors"), &job).ok());
  const std::string name = job.name();
  v1::Job done;
  REQUIRE(alice.Watch(name, &done).ok());
  CHECK(done.state() == v1::JOB_STATE_SUCCEEDED);

  for (const grpc::Status& status : {bob.Get(name, &job), bob.Cancel(name, &job),
                                     bob.Resume(name, &job), bob.Delete(name), bob.Watch(name)}) {
    CheckUnknown(status);
    // Word for word as of a job that never was.
    std::string expected = bob.Get("jobs/never", &job).error_message();
    expected.replace(expected.find("jobs/never"), std::string("jobs/never").size(), name);
    CHECK(status.error_message() == expected);
  }
  CHECK(bob.List().empty());
  CHECK(alice.List() == std::vector<std::string>{name});
  CHECK(root.List() == std::vector<std::string>{name});
  CHECK(root.Get(name, &job).ok());
  CHECK(job.owner() == "alice");
  CHECK(root.Watch(name).ok());
  CHECK(root.Delete(name).ok());
  CHECK(alice.List().empty());
}

TEST_CASE("a foreign artifact is not there, and the same name is another one's own") {
  DoorFixture fixture;
  const std::string data = SmallCheckpoint(fixture.folder);
  const std::string resource = "artifacts/model/files/model.safetensors";
  Client alice(fixture.server, "token-of-alice");
  Client bob(fixture.server, "token-of-bob");
  Client root(fixture.server, "token-of-root");
  REQUIRE(alice.Upload(resource, data).ok());

  CheckUnknown(bob.Query(resource));
  CheckUnknown(bob.Read(resource));
  CheckUnknown(bob.DeleteArtifact("artifacts/model"));
  CheckUnknown(bob.Verify("artifacts/model"));
  CHECK(bob.ListArtifacts().empty());
  v1::Job job;
  CheckUnknown(bob.Create(ManagedJob("artifacts/model"), &job));

  // Bob's own of the same name: nothing of Alice's shows, and nothing of it is touched.
  REQUIRE(bob.Upload(resource, "bob's").ok());
  REQUIRE(bob.Upload("artifacts/another/files/x", "1").ok());
  CHECK(bob.ListArtifacts() ==
        std::vector<std::string>{"bob: artifacts/another", "bob: artifacts/model"});
  CHECK(alice.ListArtifacts() == std::vector<std::string>{"alice: artifacts/model"});
  std::ofstream(fixture.server.options().data_dir + "/owners/notes.txt") << "an operator's own";
  for (const int page_size : {0, 1, 2, 3}) {  // an admin sees all
    CHECK(root.ListArtifacts(page_size) == std::vector<std::string>{"alice: artifacts/model",
                                                                    "bob: artifacts/another",
                                                                    "bob: artifacts/model"});
  }
  std::string read;
  CHECK(bob.Read(resource, &read).ok());
  CHECK(read == "bob's");
  CHECK(bob.DeleteArtifact("artifacts/model").ok());
  read.clear();
  CHECK(alice.Read(resource, &read).ok());
  CHECK(read == data);

  // The result of a job is its owner's; an admin reads it.
  REQUIRE(alice.Create(ManagedJob("artifacts/model"), &job).ok());
  v1::Job done;
  REQUIRE(alice.Watch(job.name(), &done).ok());
  REQUIRE(done.state() == v1::JOB_STATE_SUCCEEDED);
  const std::string result = done.output_artifact() + "/files/" + done.output_files(0).path();
  CheckUnknown(bob.Read(result));
  CHECK(alice.Read(result).ok());
  CHECK(alice.Verify(done.output_artifact()).ok());
  CHECK(root.Read(result).ok());
  CHECK(root.DeleteArtifact(done.output_artifact()).ok());
  CheckUnknown(alice.Read(result));
}

TEST_CASE("a replayed request id gives its own owner the same job, and nobody else anything") {
  DoorFixture fixture;
  WriteCheckpoint(fixture.server.root() / "in.safetensors", SmallTensors());
  Client alice(fixture.server, "token-of-alice");
  Client bob(fixture.server, "token-of-bob");
  v1::CreateJobRequest request = fixture.server.FileJob("in.safetensors", "out.safetensors");
  request.set_request_id("seen on the wire");
  v1::Job first;
  REQUIRE(alice.Create(request, &first).ok());
  v1::Job again;
  CHECK(alice.Create(request, &again).ok());
  CHECK(again.name() == first.name());

  // Bob replays the very same bytes, and with another body: it is a request of his own.
  request.mutable_job()->mutable_destination()->set_overwrite(true);
  v1::Job other;
  REQUIRE(bob.Create(request, &other).ok());
  CHECK(other.name() != first.name());
  const grpc::Status reused = alice.Create(request, &again);
  CHECK(reused.error_code() == Code::ALREADY_EXISTS);
  CHECK(Explain(reused).info.reason() == "REQUEST_ID_REUSED");
}

TEST_CASE("who may only look changes nothing") {
  DoorFixture fixture;
  WriteCheckpoint(fixture.server.root() / "in.safetensors", SmallTensors());
  Client alice(fixture.server, "token-of-alice");
  Client carol(fixture.server, "token-of-carol");
  v1::Job job;
  REQUIRE(alice.Create(fixture.server.FileJob("in.safetensors", "out.safetensors"), &job).ok());
  const std::string name = job.name();
  const std::string resource = "artifacts/model/files/model.safetensors";
  REQUIRE(alice.Upload(resource, "data").ok());

  CHECK(carol.Get(name, &job).ok());
  CHECK(carol.Watch(name).ok());
  CHECK(carol.Read(resource).ok());
  for (const grpc::Status& status :
       {carol.Create(fixture.server.FileJob("in.safetensors", "other.safetensors"), &job),
        carol.Cancel(name, &job), carol.Resume(name, &job), carol.Delete(name),
        carol.Upload("artifacts/other/files/x", "data"), carol.DeleteArtifact("artifacts/model")}) {
    INFO(status.error_message());
    CHECK(status.error_code() == Code::PERMISSION_DENIED);
    CHECK(Explain(status).info.reason() == "ROLE_FORBIDS");
  }
  CHECK(alice.Read(resource).ok());
}

TEST_CASE("a token that is taken out of the file ends; owners outlive a restart") {
  DoorFixture fixture;
  WriteCheckpoint(fixture.server.root() / "in.safetensors", SmallTensors());
  Client alice(fixture.server, "token-of-alice");
  v1::Job job;
  REQUIRE(alice.Create(fixture.server.FileJob("in.safetensors", "out.safetensors"), &job).ok());
  REQUIRE(alice.Upload("artifacts/kept/files/x", "data").ok());
  fixture.server.Restart();
  CHECK(alice.List().size() == 1);
  CHECK(alice.Read("artifacts/kept/files/x").ok());
  CHECK(Client(fixture.server, "token-of-bob").List().empty());

  fixture.rows.erase("token-of-alice");
  fixture.WriteTokens();
  REQUIRE(fixture.server.server().ReloadTokens().ok());
  CHECK(alice.Get(job.name(), &job).error_code() == Code::UNAUTHENTICATED);
}

TEST_CASE("without a token file there is one owner, who may do all") {
  RpcFixture fixture;
  const std::string resource = "artifacts/model/files/x";
  Client anybody(fixture, "");
  REQUIRE(anybody.Upload(resource, "data").ok());
  CHECK(Client(fixture, "a token that nobody asked for").Read(resource).ok());
}

}  // namespace
}  // namespace seedlm::server
