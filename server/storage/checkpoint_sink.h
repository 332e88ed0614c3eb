// Where a job's output goes: a file or a directory that appears, whole, at the end or not at all.
// Everything is built below StagingPath(target), so that publishing is one rename.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/compression_plan.h"
#include "kernels/format/safetensors.h"
#include "server/storage/sha256.h"
#include "server/storage/sink_target.h"
#include "server/storage/tree.h"

namespace seedlm::server {

struct StoredFile {
  std::string path;  // relative; the final name's last part for a single-file output
  int64_t size = 0;
  std::string sha256;
};

// How far Commit is: bytes copied and summed, of all that will be.
using CommitProgress = std::function<void(int64_t done, int64_t total)>;

// Write and Read are thread-safe; the others are not. Destroyed without Commit, nothing remains.
class CheckpointSink {
 public:
  // Makes the staging directory, every output file with its header (space reserved) and the
  // rewritten small files. Errors: those of CheckTarget, RESOURCE_EXHAUSTED (disk full).
  // REQUIRES: checkpoint and plan outlive the sink.
  static absl::StatusOr<std::unique_ptr<CheckpointSink>> Open(SinkTarget target,
                                                              const format::Checkpoint& checkpoint,
                                                              const format::CompressionPlan& plan,
                                                              SyncFunction sync = SyncDirectory);
  CheckpointSink(const CheckpointSink&) = delete;
  CheckpointSink& operator=(const CheckpointSink&) = delete;
  ~CheckpointSink();

  // Into output file `output` (index into CompressionPlan::outputs). `offset`: from the tensor's
  // first byte.
  absl::Status Write(size_t output, std::string_view tensor, uint64_t offset,
                     std::span<const std::byte> bytes);
  absl::Status Read(size_t output, std::string_view tensor, uint64_t offset,
                    std::span<std::byte> bytes) const;
  const format::SafetensorsLayout& layout(size_t output) const;
  int64_t bytes_written() const { return bytes_written_; }

  // Syncs all, copies the other files, sums every file, and publishes under the final name.
  // CANCELLED if `stop` was requested before that last step. Errors mean that nothing was
  // published. `progress` is called about once a MiB. REQUIRES: called once.
  absl::StatusOr<std::vector<StoredFile>> Commit(std::stop_token stop,
                                                 const CommitProgress& progress = {});
  // Why what was published may not outlive a power cut, if so: its new name is not known to be on
  // disk. REQUIRES: Commit succeeded.
  const absl::Status& publish_warning() const { return publish_warning_; }

 private:
  CheckpointSink(SinkTarget target, const format::Checkpoint& checkpoint,
                 const format::CompressionPlan& plan, SyncFunction sync);
  absl::Status Prepare();
  absl::Status WriteSmallFile(const std::string& relative_path, const std::string& content);
  absl::Status CopyFile(const std::string& relative_path, std::stop_token stop,
                        const BytesDone& bytes_done);
  absl::StatusOr<std::vector<StoredFile>> SumFiles(std::stop_token stop,
                                                   const BytesDone& bytes_done) const;
  int64_t BytesToCommit() const;
  absl::Status Publish();

  const SinkTarget target_;
  const std::string staging_;
  const format::Checkpoint& checkpoint_;
  const format::CompressionPlan& plan_;
  const SyncFunction sync_;
  std::vector<format::SafetensorsWriter> writers_;  // one for each output
  std::atomic<int64_t> bytes_written_ = 0;
  bool made_staging_ = false;
  absl::Status publish_warning_;
};

}  // namespace seedlm::server
