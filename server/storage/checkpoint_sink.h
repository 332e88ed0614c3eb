// Where a job's output goes: a file or a directory that appears, whole, at the end or not at all.
// Everything is built below StagingPath(target). The layout of every file is known beforehand, so
// the staged files are the spool, too: a later attempt takes them up.
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
#include "kernels/checksum/sha256.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/compression_plan.h"
#include "kernels/format/safetensors.h"
#include "server/errors/fault_point.h"
#include "server/storage/publisher.h"
#include "server/storage/sink_target.h"
#include "server/storage/staged_file.h"

namespace seedlm::server {

// Asked about a file of the checkpoint once it is open and before anything of it is read; an error
// refuses it. Its name may have been given to another file since the checkpoint was opened.
using OpenCheck = std::function<absl::Status(int fd, const std::string& path)>;

struct SinkOptions {
  // Take up what an earlier attempt staged of the same plan; otherwise that is removed. What the
  // planes hold then is for the caller to check: see StagedFile.
  bool resume = false;
  std::unique_ptr<Publisher> publisher;  // null: a RenamePublisher
  OpenCheck check_copied;                // of the files that Commit copies; null: any will do
  std::stop_token stop;                  // ends the publisher's wait for its server
  FaultPoint fault_point;
};

struct CommitHooks {
  // How far Commit is: bytes copied and summed, of all that will be.
  std::function<void(int64_t done, int64_t total)> progress;
  // Called once before the publication, with what Publisher::WasPublished needs to recognise it.
  // An error ends the Commit.
  std::function<absl::Status(const std::vector<StoredFile>& files, const std::string& intent)>
      before_publish;
};

// Write, Read and TensorIsFinal are thread-safe; the others are not. Destroyed without Commit or
// Keep, nothing remains. Errors name the output that was asked for, not the hidden name under which
// it is built; but for Read, and for S3, where what is staged is elsewhere.
class CheckpointSink {
 public:
  // Makes the staging directory, every output file with its header (space reserved) and the
  // rewritten small files. Errors: those of the publisher (CheckTarget), RESOURCE_EXHAUSTED (disk
  // full, or what is left has no room for the files that Commit copies). REQUIRES: checkpoint and
  // plan outlive the sink.
  static absl::StatusOr<std::unique_ptr<CheckpointSink>> Open(SinkTarget target,
                                                              const format::Checkpoint& checkpoint,
                                                              const format::CompressionPlan& plan,
                                                              SinkOptions options = {});
  CheckpointSink(const CheckpointSink&) = delete;
  CheckpointSink& operator=(const CheckpointSink&) = delete;
  ~CheckpointSink();

  // Into output file `output` (index into CompressionPlan::outputs). `offset`: from the tensor's
  // first byte.
  absl::Status Write(size_t output, std::string_view tensor, uint64_t offset,
                     std::span<const std::byte> bytes);
  absl::Status Read(size_t output, std::string_view tensor, uint64_t offset,
                    std::span<std::byte> bytes) const;
  const format::SafetensorsLayout& layout(size_t output) const {
    return plan_.outputs[output].layout;
  }
  int64_t bytes_written() const { return bytes_written_; }

  // Puts everything written so far on disk. One thread at a time.
  absl::Status Sync();

  // Nothing of this tensor of the output will be written any more: tells the publisher.
  absl::Status TensorIsFinal(size_t output, std::string_view tensor);

  // What is staged stays for a later attempt when the sink is destroyed.
  void Keep() { keep_ = true; }
  // So does what the publisher has sent to its destination, see Publisher.
  void KeepOpen() { publisher_->KeepOpen(); }

  // Syncs all, copies the other files, sums every file, and publishes under the final name.
  // CANCELLED if `stop` was requested before that last step. Errors mean that nothing was
  // published. REQUIRES: called once.
  absl::StatusOr<std::vector<StoredFile>> Commit(std::stop_token stop,
                                                 const CommitHooks& hooks = {});
  // Why what was published may not outlive a power cut, if so: its new name is not known to be on
  // disk. REQUIRES: Commit succeeded.
  absl::Status publish_warning() const { return publisher_->warning(); }

 private:
  CheckpointSink(SinkTarget target, const format::Checkpoint& checkpoint,
                 const format::CompressionPlan& plan, SinkOptions options);
  absl::Status Named(const absl::Status& status) const;
  absl::Status Prepare(bool resume, std::stop_token stop);
  absl::Status StageOutputs();
  mode_t directory_mode() const;
  // Mode 0600 for a file that was made in the data directory; elsewhere the umask's stays.
  absl::Status KeepToOurselves(const std::string& path) const;
  absl::Status WriteSmallFile(const std::string& relative_path, const std::string& content);
  absl::Status CopyFile(const std::string& relative_path, std::stop_token stop,
                        const checksum::BytesDone& bytes_done);
  absl::StatusOr<std::vector<StoredFile>> SumFiles(std::stop_token stop,
                                                   const checksum::BytesDone& bytes_done) const;
  int64_t BytesToCopy() const;
  absl::Status CheckRoomForCopies() const;
  int64_t BytesToCommit() const;
  absl::StatusOr<std::vector<StoredFile>> SyncAndPublish(std::stop_token stop,
                                                         const CommitHooks& hooks);

  const SinkTarget target_;
  const std::string staging_;
  const format::Checkpoint& checkpoint_;
  const format::CompressionPlan& plan_;
  const std::unique_ptr<Publisher> publisher_;
  const OpenCheck check_copied_;
  const FaultPoint fault_point_;
  std::vector<StagedFile> files_;  // one for each output
  std::atomic<int64_t> bytes_written_ = 0;
  bool began_ = false;  // something may be staged
  bool keep_ = false;
};

}  // namespace seedlm::server
