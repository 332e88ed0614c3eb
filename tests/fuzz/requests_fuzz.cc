// Any request to any rpc of a running server: it answers, with a code that the contract has, and
// goes on serving.
//
// Input: up to kMostCalls requests one after another, each a byte that picks the rpc and the bytes
// that its fields are drawn from (message_from_bytes.h). The server is a real one, with its store
// and its workers, reached without a socket.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grpcpp/grpcpp.h"
#include "kernels/checksum/crc32c.h"
#include "kernels/format/safetensors.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "seedlm/v1/compression_service.grpc.pb.h"
#include "server/server.h"
#include "tests/fuzz/message_from_bytes.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

constexpr int kMostCalls = 6;
constexpr int kMostChunks = 4;
constexpr std::chrono::seconds kPatience{30};

[[noreturn]] void Fail(const char* what, const std::string& detail) {
  std::fprintf(stderr, "requests_fuzz: %s: %s\n", what, detail.c_str());
  std::abort();
}

class World {
 public:
  World() {
    std::string pattern = (fs::temp_directory_path() / "seedlm-fuzz-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) Fail("mkdtemp", pattern);
    folder_ = fs::canonical(pattern);
    fs::create_directory(folder_ / "root");
    WriteSource(folder_ / "root" / "source.safetensors");
    ServerOptions options;
    options.data_dir = (folder_ / "data").string();
    options.storage_roots = {(folder_ / "root").string()};
    options.threads = 1;
    options.index_memory = 0;
    options.max_active_jobs = 8;
    auto server = Server::Start(options);
    if (!server.ok()) Fail("the server did not start", server.status().ToString());
    server_ = *std::move(server);
    const auto channel = server_->InProcessChannel();
    jobs_ = v1::CompressionService::NewStub(channel);
    artifacts_ = v1::ArtifactService::NewStub(channel);
    const std::string root = "file://" + (folder_ / "root").string();
    words_ = {"",
              "*",
              "re:.*",
              "re:(",
              "a.weight",
              "auto",
              "reference",
              "artifacts/a",
              "artifacts/a/files/model.safetensors",
              "artifacts/a/files/../b",
              "request-1",
              root + "/source.safetensors",
              root + "/out.safetensors",
              root + "/../data/jobs.sqlite",
              root + "/%2e%2e/x",
              "s3://bucket/prefix",
              "jobs/none"};
    MakeJobNames();
  }
  ~World() {
    server_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  void Run(fuzz::Bytes bytes) {
    for (int i = 0; i < kMostCalls && bytes.left() > 0; ++i) {
      const auto calls = Calls();
      calls[bytes.Take<uint8_t>() % calls.size()](bytes);
    }
    if (++runs_ % kCheckEvery == 0) CheckAlive();
  }

 private:
  static constexpr int kCheckEvery = 64;
  using Call = std::function<void(fuzz::Bytes&)>;

  static void WriteSource(const fs::path& path) {
    auto layout =
        format::SafetensorsLayout::Make({{"a.weight", format::DType::kF32, {64, 64}}}, {});
    if (!layout.ok()) Fail("layout", layout.status().ToString());
    auto writer = format::SafetensorsWriter::Create(path.string(), *std::move(layout),
                                                    format::IfExists::kReplace);
    if (!writer.ok()) Fail("writer", writer.status().ToString());
    std::vector<float> weights(64 * 64);
    for (size_t i = 0; i < weights.size(); ++i) {
      weights[i] = static_cast<float>(static_cast<int>(i * 2654435761u % 2001) - 1000) * 1e-5f;
    }
    if (!writer->Write("a.weight", 0, std::as_bytes(std::span(weights))).ok() ||
        !writer->Commit().ok()) {
      Fail("cannot write", path.string());
    }
  }

  // A job of its own, so that requests can name one that exists.
  void MakeJobNames() {
    grpc::ClientContext context;
    v1::CreateJobRequest request;
    request.mutable_job()->mutable_source()->set_uri(words_[11]);
    request.mutable_job()->mutable_destination()->set_managed(true);
    v1::Job job;
    const grpc::Status status = jobs_->CreateJob(&context, request, &job);
    if (!status.ok()) Fail("the first job", status.error_message());
    words_.push_back(job.name());
    words_.push_back(job.output_artifact());
  }

  void CheckAlive() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::Capabilities answer;
    const grpc::Status status = jobs_->GetCapabilities(&context, {}, &answer);
    if (!status.ok()) Fail("the server no longer answers", status.error_message());
  }

  // INTERNAL and UNKNOWN are bugs of the server, whatever it was sent; so is silence.
  static void Judge(const char* rpc, const grpc::Status& status) {
    if (status.error_code() == grpc::StatusCode::INTERNAL ||
        status.error_code() == grpc::StatusCode::UNKNOWN ||
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      Fail(rpc, std::to_string(status.error_code()) + " " + status.error_message());
    }
  }

  template <class Request>
  Request Make(fuzz::Bytes& bytes) {
    Request request;
    fuzz::MessageMaker(bytes, words_).Fill(request);
    return request;
  }

  template <class Stub, class Request, class Response>
  Call Unary(const char* rpc, Stub& stub,
             grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*)) {
    return [this, rpc, &stub, method](fuzz::Bytes& bytes) {
      const Request request = Make<Request>(bytes);
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + kPatience);
      Response response;
      Judge(rpc, (stub.*method)(&context, request, &response));
    };
  }

  template <class Stream, class Response>
  static void ReadSome(const char* rpc, grpc::ClientContext& context, Stream& stream) {
    Response response;
    for (int i = 0; i < kMostChunks && stream.Read(&response); ++i) {
    }
    context.TryCancel();
    const grpc::Status status = stream.Finish();
    if (status.error_code() != grpc::StatusCode::CANCELLED) Judge(rpc, status);
  }

  void Watch(fuzz::Bytes& bytes) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    const auto request = Make<v1::WatchJobRequest>(bytes);
    const auto stream = jobs_->WatchJob(&context, request);
    v1::JobEvent event;  // a job that is quiet says no more than its snapshot
    stream->Read(&event);
    context.TryCancel();
    const grpc::Status status = stream->Finish();
    if (status.error_code() != grpc::StatusCode::CANCELLED) Judge("WatchJob", status);
  }

  void Read(fuzz::Bytes& bytes) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    const auto stream = artifacts_->ReadArtifact(&context, Make<v1::ReadArtifactRequest>(bytes));
    ReadSome<grpc::ClientReader<v1::ReadArtifactResponse>, v1::ReadArtifactResponse>(
        "ReadArtifact", context, *stream);
  }

  void Write(fuzz::Bytes& bytes) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::WriteArtifactResponse response;
    const auto stream = artifacts_->WriteArtifact(&context, &response);
    const int chunks = bytes.Take<uint8_t>() % kMostChunks;
    for (int i = 0; i < chunks; ++i) {
      auto request = Make<v1::WriteArtifactRequest>(bytes);
      if (bytes.Take<uint8_t>() % 4 != 0) request.set_crc32c(checksum::Crc32c(request.data()));
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    Judge("WriteArtifact", stream->Finish());
  }

  std::vector<Call> Calls() {
    using Jobs = v1::CompressionService::Stub;
    using Artifacts = v1::ArtifactService::Stub;
    return {
        Unary("CreateJob", *jobs_, &Jobs::CreateJob),
        Unary("GetJob", *jobs_, &Jobs::GetJob),
        Unary("ListJobs", *jobs_, &Jobs::ListJobs),
        Unary("CancelJob", *jobs_, &Jobs::CancelJob),
        Unary("ResumeJob", *jobs_, &Jobs::ResumeJob),
        Unary("DeleteJob", *jobs_, &Jobs::DeleteJob),
        Unary("GetCapabilities", *jobs_, &Jobs::GetCapabilities),
        Unary("QueryWriteStatus", *artifacts_, &Artifacts::QueryWriteStatus),
        Unary("ListArtifacts", *artifacts_, &Artifacts::ListArtifacts),
        Unary("DeleteArtifact", *artifacts_, &Artifacts::DeleteArtifact),
        Unary("VerifyArtifact", *artifacts_, &Artifacts::VerifyArtifact),
        [this](fuzz::Bytes& bytes) { Watch(bytes); },
        [this](fuzz::Bytes& bytes) { Read(bytes); },
        [this](fuzz::Bytes& bytes) { Write(bytes); },
    };
  }

  fs::path folder_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::CompressionService::Stub> jobs_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::vector<std::string> words_;
  int64_t runs_ = 0;
};

}  // namespace
}  // namespace seedlm::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static seedlm::server::World world;
  world.Run(seedlm::fuzz::Bytes(data, size));
  return 0;
}
