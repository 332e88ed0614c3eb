// Files to and from the server, with checksums, carried on where they broke.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/progress_bar.h"
#include "seedlm/v1/job.pb.h"

namespace grpc {
class Channel;
}

namespace seedlm::client {

// Not thread-safe. A broken stream is carried on from what arrived, with kStreamRetry.
class TransferClient {
 public:
  using OnProgress = std::function<void(const ProgressView&)>;

  // `address` is for messages. After `stop` every call ends soon with CANCELLED.
  TransferClient(std::shared_ptr<grpc::Channel> channel, std::string address, std::stop_token stop,
                 OnProgress on_progress);
  ~TransferClient();

  // Uploads a checkpoint, a file or a directory, and returns "artifacts/ID". The ID comes from the
  // content: a second call goes on where the first one stopped, or finds all there.
  // Errors: those of format::Checkpoint::Open; the server's.
  absl::StatusOr<std::string> Upload(const std::string& path);

  // Writes the result of a job that SUCCEEDED, kept by the server, to `out` (absolute; checked by
  // CheckOutput before). `as_directory`: even if it is one file.
  // Errors: FAILED_PRECONDITION if there is no such result; DATA_LOSS if a checksum is wrong.
  absl::Status Fetch(const v1::Job& job, const std::string& out, bool as_directory, bool force);

 private:
  struct Stub;
  struct LocalFile;
  struct Download;
  absl::Status UploadFile(const LocalFile& file);
  absl::Status WriteFrom(const LocalFile& file, int64_t offset);
  absl::Status FetchFile(const std::string& artifact, const v1::OutputFile& file,
                         const std::string& path, bool force);
  absl::Status ReadRest(Download& download);
  void Report(int64_t bytes, const std::string& current);

  std::unique_ptr<Stub> stub_;
  std::string address_;
  std::stop_token stop_;
  OnProgress on_progress_;
  ProgressView view_;
  std::chrono::steady_clock::time_point start_;
};

// Whether a result of these files is one file, not a directory.
bool IsSingleFile(const v1::Job& job);

}  // namespace seedlm::client
