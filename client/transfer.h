// Files to and from the server, with checksums, carried on where they broke.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/progress_bar.h"
#include "client/retry.h"
#include "client/watchdog.h"
#include "kernels/format/old_output.h"
#include "seedlm/v1/job.pb.h"

namespace grpc {
class Channel;
}

namespace seedlm::client {

// The other end, and who is told how it goes. After `stop` every transfer ends soon, CANCELLED.
struct TransferContext {
  std::shared_ptr<grpc::Channel> channel;
  std::string address;  // for messages
  std::stop_token stop;
  std::function<void(const ProgressView&)> on_progress;
  // A stream that broke or went silent is carried on from what arrived.
  RetryPolicy retry = kStreamRetry;
  std::chrono::milliseconds silence = kSilence;
};

struct UploadedArtifact {
  std::string name;  // "artifacts/ID"
  bool is_directory = false;
};

// ProgressView::current begins with this while a file is summed, before it is sent.
inline constexpr char kSumming[] = "checksum of ";

// A checkpoint here, a file or a directory, that may be uploaded.
class PendingUpload {
 public:
  struct File {
    std::string path;        // here
    std::string relative;    // in the artifact
    std::string resource{};  // "artifacts/ID/files/RELATIVE"
    int64_t size = 0;
    std::string sha256{};
  };

  // Sums all files: the artifact's ID comes from the content. Asks nothing of the server.
  // Errors: those of format::Checkpoint::Open; INVALID_ARGUMENT for a file name that the server
  // would refuse, before anything is read.
  static absl::StatusOr<PendingUpload> Sum(const TransferContext& context, const std::string& path);

  const UploadedArtifact& artifact() const { return artifact_; }

  // Sends what the server has not got: a second upload goes on where the first one stopped, or
  // finds all there. While another process uploads the same, waits. Errors: the server's.
  absl::Status Send(const TransferContext& context) const;

 private:
  UploadedArtifact artifact_;
  std::vector<File> files_;
};

// Makes an uploaded checkpoint the source of a job. A label says whether it was a directory: of a
// directory that holds one file the artifact alone cannot tell.
void SetSource(const UploadedArtifact& artifact, v1::Job& job);

// Whether Fetch can: FAILED_PRECONDITION if there is no result, or none that the server keeps.
absl::Status CheckResult(const v1::Job& job);

// The files of a result.
format::NewOutput ContentsOf(const v1::Job& job);

// Writes the result of a job that SUCCEEDED, kept by the server, to `out` (absolute; checked by
// CheckOutput before): a file if IsSingleFile(job), otherwise a directory. What came before an
// interrupt, a kill or a server that stays away is kept under a hidden name beside `out`, and a
// later call for the same content goes on there.
// Errors: those of CheckResult and CheckOutput; DATA_LOSS if a checksum is wrong; ABORTED if
// another process fetches the same to the same place.
absl::Status Fetch(const TransferContext& context, const v1::Job& job, const std::string& out,
                   bool force);

// Whether a job's result is one file, because its source was.
bool IsSingleFile(const v1::Job& job);

// Counts the bytes of a transfer. Its rate leaves out what was there already.
class TransferMeter {
 public:
  TransferMeter(const TransferContext& context, int64_t total);
  // `bytes` went over the wire.
  void Moved(int64_t bytes, const std::string& file);
  // `bytes` more (or fewer) are at the other end than was counted.
  void Found(int64_t bytes, const std::string& file);
  int64_t done() const { return view_.done; }

 private:
  void Report(const std::string& file);
  const TransferContext& context_;
  ProgressView view_;
  int64_t moved_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace seedlm::client
