#include "tests/server/rpc_fixture.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <span>
#include <thread>

#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/safetensors.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kFixturePatience{600};  // only what hangs runs into it

// Small values of both signs around 0.02, from a plain congruential generator.
std::vector<float> Weights(int64_t count, uint64_t seed) {
  std::vector<float> weights(static_cast<size_t>(count));
  uint64_t state = seed * 2654435761u + 1;
  for (float& weight : weights) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    weight = static_cast<float>(static_cast<int64_t>(state >> 40) - (1 << 23)) * 2e-9f;
  }
  return weights;
}

std::string Sha256Hex(std::string_view data) {
  checksum::Sha256 sum;
  sum.Update(std::as_bytes(std::span(data)));
  return sum.HexDigest();
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "seedlm-rpc-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = fs::canonical(pattern);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void WriteCheckpoint(const fs::path& path, const std::vector<TestTensor>& tensors) {
  std::vector<format::TensorSpec> specs;
  for (const TestTensor& tensor : tensors) {
    specs.push_back({tensor.name, format::DType::kF32, {tensor.rows, tensor.columns}});
  }
  auto layout = format::SafetensorsLayout::Make(specs, {});
  REQUIRE(layout.ok());
  auto writer = format::SafetensorsWriter::Create(path.string(), *std::move(layout),
                                                  format::IfExists::kReplace);
  REQUIRE(writer.ok());
  uint64_t seed = 0;
  for (const TestTensor& tensor : tensors) {
    const std::vector<float> weights = Weights(tensor.rows * tensor.columns, ++seed);
    REQUIRE(writer->Write(tensor.name, 0, std::as_bytes(std::span(weights))).ok());
  }
  REQUIRE(writer->Commit().ok());
}

std::vector<TestTensor> SmallTensors(int count) {
  std::vector<TestTensor> tensors;
  for (int i = 0; i < count; ++i) tensors.push_back({"layer." + std::to_string(i) + ".weight"});
  tensors.push_back({"embed.weight"});  // passes through
  return tensors;
}

std::vector<TestTensor> SlowTensors() { return {{"slow.weight", 2048, 1024}}; }

std::string ReadWholeFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t all = 0;
  int64_t resident = 0;
  statm >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

WireError Explain(const google::rpc::Status& status) {
  WireError error;
  error.status = status;
  for (const auto& detail : status.details()) {
    google::rpc::RetryInfo retry;
    if (detail.Is<google::rpc::ErrorInfo>()) detail.UnpackTo(&error.info);
    if (detail.UnpackTo(&retry)) {
      error.has_retry = retry.retry_delay().seconds() > 0 || retry.retry_delay().nanos() > 0;
    }
  }
  return error;
}

WireError Explain(const grpc::Status& status) {
  google::rpc::Status proto;
  REQUIRE(proto.ParseFromString(status.error_details()));
  CHECK(proto.code() == static_cast<int>(status.error_code()));
  CHECK(proto.message() == status.error_message());
  const WireError error = Explain(proto);
  CHECK(error.info.domain() == "seedlm");
  return error;
}

void CheckError(const grpc::Status& status, grpc::StatusCode code, const std::string& reason) {
  INFO(status.error_message());
  REQUIRE(status.error_code() == code);
  CHECK(Explain(status).info.reason() == reason);
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

RpcFixture::RpcFixture(const std::function<void(ServerOptions&)>& change) {
  fs::create_directory(root());
  options_.data_dir = (folder_.path() / "data").string();
  options_.storage_roots = {root().string()};
  options_.listen = {"127.0.0.1:0"};
  options_.threads = 2;
  if (change) change(options_);
  Start();
}

RpcFixture::~RpcFixture() = default;

void RpcFixture::Start() {
  auto server = Server::Start(options_);
  INFO(server.status().ToString());
  REQUIRE(server.ok());
  server_ = *std::move(server);
  REQUIRE(server_->addresses().size() == options_.listen.size());
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel_ = grpc::CreateCustomChannel(server_->addresses().front(),
                                       grpc::InsecureChannelCredentials(), arguments);
  jobs_ = v1::CompressionService::NewStub(channel_);
  artifacts_ = v1::ArtifactService::NewStub(channel_);
}

void RpcFixture::Restart() {
  server_.reset();
  Start();
}

v1::CreateJobRequest RpcFixture::FileJob(const std::string& source,
                                         const std::string& output) const {
  v1::CreateJobRequest request;
  request.mutable_job()->mutable_source()->set_uri("file://" + (root() / source).string());
  request.mutable_job()->mutable_destination()->set_uri("file://" + (root() / output).string());
  return request;
}

grpc::Status RpcFixture::Create(const v1::CreateJobRequest& request, v1::Job* job) {
  grpc::ClientContext context;
  return jobs_->CreateJob(&context, request, job);
}

grpc::Status RpcFixture::Get(const std::string& name, v1::Job* job) {
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_name(name);
  return jobs_->GetJob(&context, request, job);
}

grpc::Status RpcFixture::Cancel(const std::string& name, v1::Job* job, const std::string& etag) {
  grpc::ClientContext context;
  v1::CancelJobRequest request;
  request.set_name(name);
  request.set_etag(etag);
  return jobs_->CancelJob(&context, request, job);
}

std::string RpcFixture::MustCreate(const v1::CreateJobRequest& request) {
  v1::Job job;
  const grpc::Status status = Create(request, &job);
  INFO(status.error_message());
  REQUIRE(status.ok());
  return job.name();
}

std::string RpcFixture::MustCreateSlow(const std::string& output) {
  if (!fs::exists(root() / "slow.safetensors")) {
    WriteCheckpoint(root() / "slow.safetensors", SlowTensors());
  }
  v1::CreateJobRequest request = FileJob("slow.safetensors", output);
  request.mutable_job()->mutable_spec()->set_backend("reference");
  return MustCreate(request);
}

v1::Job RpcFixture::Await(const std::string& name) {
  std::vector<v1::JobEvent> events;
  const grpc::Status status = Watch(name, 0, {}, &events);
  INFO(status.error_message());
  REQUIRE(status.ok());
  v1::Job job;
  REQUIRE(Get(name, &job).ok());
  return job;
}

v1::Job RpcFixture::AwaitState(const std::string& name, v1::JobState state) {
  const auto deadline = std::chrono::steady_clock::now() + kFixturePatience;
  v1::Job job;
  while (std::chrono::steady_clock::now() < deadline) {
    REQUIRE(Get(name, &job).ok());
    if (job.state() == state) return job;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  FAIL(name << " is " << v1::JobState_Name(job.state()) << ", awaited "
            << v1::JobState_Name(state));
  return job;
}

grpc::Status RpcFixture::Watch(const std::string& name, int64_t after,
                               const std::function<bool(const v1::JobEvent&)>& enough,
                               std::vector<v1::JobEvent>* events) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kFixturePatience);
  v1::WatchJobRequest request;
  request.set_name(name);
  request.set_after_sequence(after);
  const auto reader = jobs_->WatchJob(&context, request);
  v1::JobEvent event;
  while (reader->Read(&event)) {
    events->push_back(event);
    if (enough && enough(event)) context.TryCancel();
  }
  return reader->Finish();
}

grpc::Status RpcFixture::Upload(const UploadPlan& plan, v1::WriteArtifactResponse* response) {
  grpc::ClientContext context;
  return Upload(context, plan, response);
}

grpc::Status RpcFixture::Upload(grpc::ClientContext& context, const UploadPlan& plan,
                                v1::WriteArtifactResponse* response) {
  const auto writer = artifacts_->WriteArtifact(&context, response);
  v1::WriteArtifactRequest request;
  request.set_resource_name(plan.resource);
  size_t offset = static_cast<size_t>(plan.from);
  bool last = false;
  while (!last) {
    request.set_offset(static_cast<int64_t>(offset));
    request.set_data(plan.data.substr(offset, plan.chunk_bytes));
    request.set_crc32c(checksum::Crc32c(request.data()));
    offset += request.data().size();
    last = offset >= plan.data.size();
    if (last && plan.finish) {
      request.set_finish(true);
      request.set_sha256(Sha256Hex(plan.data));
    }
    if (!writer->Write(request)) break;
    request.clear_resource_name();
  }
  writer->WritesDone();
  return writer->Finish();
}

grpc::Status RpcFixture::Query(const std::string& resource,
                               v1::QueryWriteStatusResponse* response) {
  grpc::ClientContext context;
  v1::QueryWriteStatusRequest request;
  request.set_resource_name(resource);
  return artifacts_->QueryWriteStatus(&context, request, response);
}

grpc::Status RpcFixture::Download(const std::string& resource, int64_t offset, std::string* data) {
  grpc::ClientContext context;
  v1::ReadArtifactRequest request;
  request.set_resource_name(resource);
  request.set_offset(offset);
  const auto reader = artifacts_->ReadArtifact(&context, request);
  v1::ReadArtifactResponse chunk;
  while (reader->Read(&chunk)) {
    CHECK(chunk.offset() == offset + static_cast<int64_t>(data->size()));
    CHECK(chunk.crc32c() == checksum::Crc32c(chunk.data()));
    CHECK(chunk.data().size() <= size_t{1} << 20);
    *data += chunk.data();
  }
  return reader->Finish();
}

std::vector<int64_t> Sequences(const std::vector<v1::JobEvent>& events) {
  std::vector<int64_t> sequences;
  for (const v1::JobEvent& event : events) {
    if (!event.has_snapshot() && event.sequence() != 0) sequences.push_back(event.sequence());
  }
  return sequences;
}

}  // namespace seedlm::server
