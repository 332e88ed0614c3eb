// A real server in the test's process, reached over TCP, with checkpoints to feed it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "seedlm/v1/compression_service.grpc.pb.h"
#include "server/server.h"

namespace seedlm::server {

// Removed, with what is in it, at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct TestTensor {
  std::string name;
  int64_t rows = 64;
  int64_t columns = 64;
};

// Writes a single-file F32 checkpoint of small pseudo-random weights, the same for the same
// tensors.
void WriteCheckpoint(const std::filesystem::path& path, const std::vector<TestTensor>& tensors);
// Milliseconds of work for the fast backend.
std::vector<TestTensor> SmallTensors(int count = 2);
// Minutes of work for the reference backend: jobs that a test cancels.
std::vector<TestTensor> SlowTensors();

std::string ReadWholeFile(const std::filesystem::path& path);
// Of this process: client and server.
int64_t ResidentBytes();

// One upload by hand. `data` in chunks of `chunk_bytes`.
struct UploadPlan {
  std::string resource;
  std::string data;
  size_t chunk_bytes = 1 << 20;
  int64_t from = 0;
  bool finish = true;
};

// What an error carries.
struct WireError {
  google::rpc::Status status;
  google::rpc::ErrorInfo info;
  bool has_retry = false;
};
WireError Explain(const grpc::Status& status);
WireError Explain(const google::rpc::Status& status);
// The status is this code with this reason.
void CheckError(const grpc::Status& status, grpc::StatusCode code, const std::string& reason);

bool Contains(std::string_view text, std::string_view part);

class RpcFixture {
 public:
  explicit RpcFixture(const std::function<void(ServerOptions&)>& change = {});
  ~RpcFixture();

  // Stops the server and starts another one on the same directories.
  void Restart();
  void Stop() { server_.reset(); }

  Server& server() { return *server_; }
  const ServerOptions& options() const { return options_; }
  std::filesystem::path root() const { return folder_.path() / "root"; }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  v1::CompressionService::Stub& jobs() { return *jobs_; }
  v1::ArtifactService::Stub& artifacts() { return *artifacts_; }

  // A request from root()/source to root()/output.
  v1::CreateJobRequest FileJob(const std::string& source, const std::string& output) const;

  grpc::Status Create(const v1::CreateJobRequest& request, v1::Job* job);
  grpc::Status Get(const std::string& name, v1::Job* job);
  grpc::Status Cancel(const std::string& name, v1::Job* job, const std::string& etag = "");
  // Creates the job, which must work, and returns its name.
  std::string MustCreate(const v1::CreateJobRequest& request);
  // A job that will run for minutes.
  std::string MustCreateSlow(const std::string& output = "slow.out.safetensors");
  // Watches until the job has ended, and returns it.
  v1::Job Await(const std::string& name);
  // Polls until the job is in that state, at most ten minutes.
  v1::Job AwaitState(const std::string& name, v1::JobState state);
  // All messages of a watch from `after`, until it ends or `enough` says so; then it is cancelled.
  grpc::Status Watch(const std::string& name, int64_t after,
                     const std::function<bool(const v1::JobEvent&)>& enough,
                     std::vector<v1::JobEvent>* events);

  grpc::Status Upload(const UploadPlan& plan, v1::WriteArtifactResponse* response);
  grpc::Status Upload(grpc::ClientContext& context, const UploadPlan& plan,
                      v1::WriteArtifactResponse* response);
  grpc::Status Query(const std::string& resource, v1::QueryWriteStatusResponse* response);
  // Checks the CRC-32C and offset of each chunk.
  grpc::Status Download(const std::string& resource, int64_t offset, std::string* data);

 private:
  void Start();

  TemporaryFolder folder_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::CompressionService::Stub> jobs_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
};

// The numbered events only.
std::vector<int64_t> Sequences(const std::vector<v1::JobEvent>& events);

}  // namespace seedlm::server
