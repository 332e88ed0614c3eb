// Streams whose client takes nothing: there are only so many, and they cost only so much.
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

using Code = grpc::StatusCode;

constexpr size_t kMiB = size_t{1} << 20;
#ifdef __SANITIZE_THREAD__
constexpr int64_t kResidentPerByte = 5;  // it keeps four of its own for each byte
#else
constexpr int64_t kResidentPerByte = 1;
#endif

// Streams of one method, each read once and then left alone.
template <class Message>
struct StalledStreams {
  // Opens `count` of them with `open`; the index of the first that is refused, `count` if none is.
  template <class Open>
  size_t Fill(size_t count, Open open) {
    Message message;
    for (size_t i = 0; i < count; ++i) {
      contexts.push_back(std::make_unique<grpc::ClientContext>());
      readers.push_back(open(contexts.back().get()));
      if (!readers.back()->Read(&message)) return i;
    }
    return count;
  }
  ~StalledStreams() {
    for (const auto& context : contexts) context->TryCancel();
    for (const auto& reader : readers) {
      if (reader != nullptr) reader->Finish();
    }
  }
  // Why the last one was refused; it is none of them any more.
  grpc::Status Refusal() {
    grpc::Status status = readers.back()->Finish();
    readers.pop_back();
    contexts.pop_back();
    return status;
  }
  void End(size_t index) {
    contexts[index]->TryCancel();
    readers[index]->Finish();
    readers[index] = nullptr;
  }

  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<Message>>> readers;
};

void CheckRefusal(const grpc::Status& status, const std::string& reason, const std::string& limit) {
  REQUIRE(status.error_code() == Code::RESOURCE_EXHAUSTED);
  const WireError error = Explain(status);
  CHECK(error.info.reason() == reason);
  CHECK(error.info.metadata().at("limit") == limit);
  CHECK(error.has_retry);
}

// A place comes free a moment after its stream has ended.
template <class Message, class Open>
bool OneMoreSoon(StalledStreams<Message>& streams, Open open) {
  for (int i = 0; i < 500; ++i) {
    if (streams.Fill(1, open) == 1) return true;
    (void)streams.Refusal();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_CASE("downloads that nobody reads: as many as an owner may have, and memory is bounded") {
  RpcFixture fixture;
  v1::ReadArtifactRequest request;
  request.set_resource_name("artifacts/a/files/x");
  v1::WriteArtifactResponse written;
  const std::string data(8 * kMiB, 'x');
  REQUIRE(fixture.Upload({.resource = request.resource_name(), .data = data}, &written).ok());
  // Without probes of the connection, which let the client take megabytes ahead of each stream.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub = v1::ArtifactService::NewStub(grpc::CreateCustomChannel(
      fixture.server().addresses().front(), grpc::InsecureChannelCredentials(), arguments));
  const auto open = [&](grpc::ClientContext* context) {
    return stub->ReadArtifact(context, request);
  };
  const int64_t before = ResidentBytes();
  StalledStreams<v1::ReadArtifactResponse> streams;
  CHECK(streams.Fill(300, open) == 64);
  CheckRefusal(streams.Refusal(), "OWNER_DOWNLOADS", "64");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // until all have read ahead
  // Two chunks and gRPC's copy of one, here, and what the client has taken without being asked.
  CHECK(ResidentBytes() - before < static_cast<int64_t>(64 * 4 * kMiB) * kResidentPerByte);
  v1::Capabilities capabilities;
  grpc::ClientContext context;
  REQUIRE(fixture.jobs().GetCapabilities(&context, {}, &capabilities).ok());
  CHECK(capabilities.max_owner_downloads() == 64);
  streams.End(0);
  CHECK(OneMoreSoon(streams, open));
}

TEST_CASE("watches: as many as an owner may have, and as many as all may") {
  const bool owners = GENERATE(true, false);
  RpcFixture fixture([&](ServerOptions& options) {
    (owners ? options.max_owner_watches : options.max_watches) = 20;
  });
  v1::WatchJobRequest request;
  request.set_name(fixture.MustCreateSlow());
  const auto open = [&](grpc::ClientContext* context) {
    return fixture.jobs().WatchJob(context, request);
  };
  {
    StalledStreams<v1::JobEvent> streams;
    CHECK(streams.Fill(30, open) == 20);
    CheckRefusal(streams.Refusal(), owners ? "OWNER_WATCHES" : "SERVER_BUSY", "20");
    streams.End(0);
    CHECK(OneMoreSoon(streams, open));
  }
  v1::Job job;
  REQUIRE(fixture.Cancel(request.name(), &job).ok());
}

}  // namespace
}  // namespace seedlm::server
