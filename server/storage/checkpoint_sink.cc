#include "server/storage/checkpoint_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/storage/artifact_name.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {
namespace {

constexpr size_t kCopyBytes = size_t{1} << 20;

absl::Status Stopped(const SinkTarget& target) {
  return absl::CancelledError(
      absl::StrCat(format::Printable(target.path), ": stopped on request before it was published"));
}

absl::Status Vanished(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(format::Printable(path), ": became shorter while it was copied"));
}

absl::Status CopyContent(int from, const std::string& from_path, uint64_t size,
                         const format::AtomicFile& to, std::stop_token stop,
                         const BytesDone& bytes_done) {
  std::vector<std::byte> buffer(std::min<uint64_t>(kCopyBytes, size));
  uint64_t offset = 0;
  while (offset < size) {
    if (stop.stop_requested()) return absl::CancelledError("stopped on request");
    const size_t wanted = std::min<uint64_t>(buffer.size(), size - offset);
    const ssize_t count = pread(from, buffer.data(), wanted, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return format::ErrnoToStatus(errno, from_path, "read");
    if (count == 0) return Vanished(from_path);
    const auto piece = std::span(buffer).first(static_cast<size_t>(count));
    if (absl::Status status = to.WriteAt(offset, piece); !status.ok()) return status;
    offset += static_cast<uint64_t>(count);
    bytes_done(count);
  }
  return absl::OkStatus();
}

}  // namespace

CheckpointSink::CheckpointSink(SinkTarget target, const format::Checkpoint& checkpoint,
                               const format::CompressionPlan& plan, SyncFunction sync)
    : target_(std::move(target)),
      staging_(StagingPath(target_)),
      checkpoint_(checkpoint),
      plan_(plan),
      sync_(std::move(sync)) {}

CheckpointSink::~CheckpointSink() {
  writers_.clear();  // closes before removing
  // After a Commit that is a directory without content, or what was replaced. A failure leaves a
  // hidden directory and must not undo a finished job.
  if (made_staging_) (void)RemoveTree(staging_);
}

absl::StatusOr<std::unique_ptr<CheckpointSink>> CheckpointSink::Open(
    SinkTarget target, const format::Checkpoint& checkpoint, const format::CompressionPlan& plan,
    SyncFunction sync) {
  absl::Status status = CheckTarget(target, checkpoint.path, PathsOf(plan));
  if (!status.ok()) return status;
  status = RemoveLeftovers(target);
  if (!status.ok()) return status;
  std::unique_ptr<CheckpointSink> sink(
      new CheckpointSink(std::move(target), checkpoint, plan, std::move(sync)));
  status = sink->Prepare();
  if (!status.ok()) return status;
  return sink;
}

absl::Status CheckpointSink::Prepare() {
  if (mkdir(staging_.c_str(), 0777) != 0) {
    return format::ErrnoToStatus(errno, staging_, "create directory");
  }
  made_staging_ = true;
  writers_.reserve(plan_.outputs.size());
  for (const format::PlannedOutput& output : plan_.outputs) {
    const std::string path = absl::StrCat(staging_, "/", output.relative_path);
    if (absl::Status status = MakeDirectories(staging_, ParentOf(path)); !status.ok()) {
      return status;
    }
    auto writer = format::SafetensorsWriter::Create(path, output.layout, format::IfExists::kFail);
    if (!writer.ok()) return writer.status();
    bytes_written_ += static_cast<int64_t>(output.layout.header().size());
    writers_.push_back(*std::move(writer));
  }
  for (const auto& [relative_path, content] : plan_.rewritten) {
    if (absl::Status status = WriteSmallFile(relative_path, content); !status.ok()) return status;
  }
  return target_.result ? WriteSmallFile(std::string(kResultMarker), "") : absl::OkStatus();
}

absl::Status CheckpointSink::WriteSmallFile(const std::string& relative_path,
                                            const std::string& content) {
  const std::string path = absl::StrCat(staging_, "/", relative_path);
  absl::Status status = MakeDirectories(staging_, ParentOf(path));
  if (status.ok()) {
    status = format::WriteFileAtomically(path, content, format::IfExists::kFail);
  }
  if (status.ok()) bytes_written_ += static_cast<int64_t>(content.size());
  return status;
}

absl::Status CheckpointSink::Write(size_t output, std::string_view tensor, uint64_t offset,
                                   std::span<const std::byte> bytes) {
  absl::Status status = writers_[output].Write(tensor, offset, bytes);
  if (status.ok()) bytes_written_ += static_cast<int64_t>(bytes.size());
  return status;
}

absl::Status CheckpointSink::Read(size_t output, std::string_view tensor, uint64_t offset,
                                  std::span<std::byte> bytes) const {
  return writers_[output].Read(tensor, offset, bytes);
}

const format::SafetensorsLayout& CheckpointSink::layout(size_t output) const {
  return writers_[output].layout();
}

absl::Status CheckpointSink::CopyFile(const std::string& relative_path, std::stop_token stop,
                                      const BytesDone& bytes_done) {
  const std::string from_path = absl::StrCat(checkpoint_.path, "/", relative_path);
  const std::string to_path = absl::StrCat(staging_, "/", relative_path);
  const UniqueFd from(open(from_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!from || fstat(from.get(), &info) != 0) {
    return format::ErrnoToStatus(errno, from_path, "copy");
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(format::Printable(from_path), ": is no regular file and cannot be copied"));
  }
  absl::Status status = MakeDirectories(staging_, ParentOf(to_path));
  if (!status.ok()) return status;
  auto to = format::AtomicFile::Create(to_path, static_cast<uint64_t>(info.st_size),
                                       format::IfExists::kFail);
  if (!to.ok()) return to.status();
  status = CopyContent(from.get(), from_path, static_cast<uint64_t>(info.st_size), *to, stop,
                       bytes_done);
  if (status.ok()) status = to->Commit();
  if (status.ok()) bytes_written_ += info.st_size;
  return status;
}

absl::StatusOr<std::vector<StoredFile>> CheckpointSink::SumFiles(
    std::stop_token stop, const BytesDone& bytes_done) const {
  std::vector<StoredFile> files;
  for (const std::string& relative_path : PathsOf(plan_)) {
    const std::string path = absl::StrCat(staging_, "/", relative_path);
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return format::ErrnoToStatus(errno, path, "examine");
    absl::StatusOr<std::string> sum = Sha256OfFile(path, stop, bytes_done);
    if (!sum.ok()) return sum.status();
    files.push_back({relative_path, info.st_size, *std::move(sum)});
  }
  if (!target_.directory) files[0].path = target_.path.substr(target_.path.rfind('/') + 1);
  return files;
}

absl::Status CheckpointSink::Publish() {
  if (absl::Status status = SyncTree(staging_); !status.ok()) return status;
  const std::string from =
      target_.directory ? staging_ : absl::StrCat(staging_, "/", plan_.outputs[0].relative_path);
  absl::Status status;
  if (target_.overwrite) {
    // Again, as hours may have passed: what stands there now is what will be replaced.
    status = CheckTarget(target_, checkpoint_.path, PathsOf(plan_));
    if (status.ok()) status = RenameReplacing(from, target_.path);
  } else {
    status = RenameNoReplace(from, target_.path);
  }
  // From here on the output stands: to fail now would tell a lie.
  if (status.ok()) publish_warning_ = sync_(ParentOf(target_.path));
  return status;
}

// Copied files count twice: they are copied, then summed.
int64_t CheckpointSink::BytesToCommit() const {
  int64_t bytes = static_cast<int64_t>(plan_.output_bytes);
  for (const auto& [relative_path, content] : plan_.rewritten) {
    bytes += static_cast<int64_t>(content.size());
  }
  for (const std::string& relative_path : plan_.copied) {
    struct stat info {};
    const std::string path = absl::StrCat(checkpoint_.path, "/", relative_path);
    if (stat(path.c_str(), &info) == 0) bytes += 2 * info.st_size;
  }
  return bytes;
}

absl::StatusOr<std::vector<StoredFile>> CheckpointSink::Commit(std::stop_token stop,
                                                               const CommitProgress& progress) {
  for (format::SafetensorsWriter& writer : writers_) {
    if (stop.stop_requested()) return Stopped(target_);
    if (absl::Status status = writer.Commit(); !status.ok()) return status;
  }
  const BytesDone bytes_done = [&progress, done = int64_t{0},
                                total = BytesToCommit()](int64_t bytes) mutable {
    done += bytes;
    if (progress) progress(done, total);
  };
  for (const std::string& relative_path : plan_.copied) {
    absl::Status status = CopyFile(relative_path, stop, bytes_done);
    if (!status.ok()) return status;
  }
  absl::StatusOr<std::vector<StoredFile>> files = SumFiles(stop, bytes_done);
  if (!files.ok()) return files.status();
  if (stop.stop_requested()) return Stopped(target_);
  if (absl::Status status = Publish(); !status.ok()) return status;
  return files;
}

}  // namespace seedlm::server
