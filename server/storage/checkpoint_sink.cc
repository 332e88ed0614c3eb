#include "server/storage/checkpoint_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/file_io.h"
#include "kernels/format/text.h"
#include "server/storage/artifact_name.h"
#include "server/storage/rename_publisher.h"
#include "server/storage/tree.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {
namespace {

constexpr size_t kCopyBytes = size_t{1} << 20;

absl::Status Stopped(const SinkTarget& target) {
  return absl::CancelledError(absl::StrCat(format::Printable(NameOf(target)),
                                           ": stopped on request before it was published"));
}

absl::Status Vanished(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(format::Printable(path), ": became shorter while it was copied"));
}

absl::Status CopyContent(int from, const std::string& from_path, uint64_t size,
                         const format::AtomicFile& to, std::stop_token stop,
                         const checksum::BytesDone& bytes_done) {
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
                               const format::CompressionPlan& plan, SinkOptions options)
    : target_(std::move(target)),
      staging_(StagingPath(target_)),
      checkpoint_(checkpoint),
      plan_(plan),
      publisher_(options.publisher != nullptr ? std::move(options.publisher)
                                              : std::make_unique<RenamePublisher>(target_)),
      check_copied_(std::move(options.check_copied)),
      fault_point_(std::move(options.fault_point)) {}

CheckpointSink::~CheckpointSink() {
  files_.clear();  // closes before removing
  // After a Commit that is a directory without content, or what was replaced. A failure leaves a
  // hidden directory and must not undo a finished job.
  if (began_ && !keep_) (void)publisher_->Discard();
}

absl::StatusOr<std::unique_ptr<CheckpointSink>> CheckpointSink::Open(
    SinkTarget target, const format::Checkpoint& checkpoint, const format::CompressionPlan& plan,
    SinkOptions options) {
  const bool resume = options.resume;
  std::stop_token stop = options.stop;
  std::unique_ptr<CheckpointSink> sink(
      new CheckpointSink(std::move(target), checkpoint, plan, std::move(options)));
  absl::Status status = sink->Prepare(resume, std::move(stop));
  if (!status.ok()) return sink->Named(status);
  return sink;
}

absl::Status CheckpointSink::Named(const absl::Status& status) const {
  if (status.ok() || target_.s3.has_value()) return status;
  const std::string output = format::Printable(NameOf(target_));
  std::vector<std::pair<std::string, std::string>> names{{format::Printable(staging_), output}};
  if (!target_.directory && plan_.outputs.size() == 1) {  // longer, so it wins
    const std::string path = absl::StrCat(staging_, "/", plan_.outputs[0].relative_path);
    names.emplace_back(format::Printable(path), output);
  }
  return ForPeople(target_, WithMessage(status, names));
}

absl::Status CheckpointSink::Prepare(bool resume, std::stop_token stop) {
  Staging staging{staging_, checkpoint_.path, {}, PathsOf(plan_), std::move(stop)};
  for (const format::PlannedOutput& output : plan_.outputs) {
    staging.outputs.push_back(output.relative_path);
  }
  keep_ = resume;  // an error up to here takes nothing away from an earlier attempt
  if (absl::Status status = publisher_->Begin(staging); !status.ok()) return status;
  absl::Status status = resume ? PrepareResume(target_, staging.outputs) : publisher_->Discard();
  if (!status.ok()) return status;
  began_ = true;
  status = StageOutputs();
  if (!status.ok()) return status;
  for (size_t i = 0; i < files_.size(); ++i) {
    status = publisher_->RangeIsFinal({i, 0, layout(i).header().size()});
    if (!status.ok()) return status;
  }
  keep_ = false;
  return absl::OkStatus();
}

mode_t CheckpointSink::directory_mode() const {
  return target_.in_data_dir() ? kOwnDirectory : kUserDirectory;
}

// Not when the file is made: one that an earlier version staged has the umask's mode.
absl::Status CheckpointSink::KeepToOurselves(const std::string& path) const {
  if (!target_.in_data_dir() || chmod(path.c_str(), S_IRUSR | S_IWUSR) == 0) {
    return absl::OkStatus();
  }
  return format::ErrnoToStatus(errno, path, "chmod");
}

// Names are synced, so that what is synced later is found again.
absl::Status CheckpointSink::StageOutputs() {
  absl::Status status = MakeDirectories(ParentOf(staging_), staging_, directory_mode());
  if (status.ok()) status = CheckStagingIsOurs(target_);
  for (const format::PlannedOutput& output : plan_.outputs) {
    const std::string path = absl::StrCat(staging_, "/", output.relative_path);
    if (status.ok()) status = MakeDirectories(staging_, ParentOf(path), directory_mode());
    if (!status.ok()) return status;
    absl::StatusOr<StagedFile> file = StagedFile::Open(path, output.layout.file_size());
    if (!file.ok()) return file.status();
    status = KeepToOurselves(path);
    if (!status.ok()) return status;
    const std::string& header = output.layout.header();
    status = file->WriteAt(0, std::as_bytes(std::span(header)));
    bytes_written_ += static_cast<int64_t>(header.size());
    files_.push_back(*std::move(file));
  }
  for (const auto& [relative_path, content] : plan_.rewritten) {
    if (status.ok()) status = WriteSmallFile(relative_path, content);
  }
  if (status.ok()) status = CheckRoomForCopies();
  if (status.ok() && target_.result) status = WriteSmallFile(std::string(kResultMarker), "");
  if (status.ok()) status = SyncTree(staging_);
  return status.ok() ? format::SyncDirectory(ParentOf(staging_)) : status;
}

absl::Status CheckpointSink::WriteSmallFile(const std::string& relative_path,
                                            const std::string& content) {
  const std::string path = absl::StrCat(staging_, "/", relative_path);
  absl::Status status = MakeDirectories(staging_, ParentOf(path), directory_mode());
  if (status.ok()) {
    status = format::WriteFileAtomically(path, content, format::IfExists::kFail);
  }
  if (status.ok()) status = KeepToOurselves(path);
  if (status.ok()) bytes_written_ += static_cast<int64_t>(content.size());
  return status;
}

absl::Status CheckpointSink::Write(size_t output, std::string_view tensor, uint64_t offset,
                                   std::span<const std::byte> bytes) {
  const uint64_t size = layout(output).Find(tensor).byte_size();
  if (offset > size || bytes.size() > size - offset) {
    return absl::OutOfRangeError(absl::StrCat(format::Printable(files_[output].path()),
                                              ": tensor '", format::Printable(tensor), "': bytes ",
                                              offset, " to ", offset + bytes.size(), " of ", size));
  }
  absl::Status status = files_[output].WriteAt(layout(output).FileOffset(tensor) + offset, bytes);
  if (status.ok()) bytes_written_ += static_cast<int64_t>(bytes.size());
  return Named(status);
}

absl::Status CheckpointSink::Read(size_t output, std::string_view tensor, uint64_t offset,
                                  std::span<std::byte> bytes) const {
  return files_[output].ReadAt(layout(output).FileOffset(tensor) + offset, bytes);
}

absl::Status CheckpointSink::Sync() {
  for (StagedFile& file : files_) {
    if (absl::Status status = file.Sync(); !status.ok()) return Named(status);
  }
  return absl::OkStatus();
}

absl::Status CheckpointSink::TensorIsFinal(size_t output, std::string_view tensor) {
  const uint64_t size = layout(output).Find(tensor).byte_size();
  if (size == 0) return absl::OkStatus();
  return publisher_->RangeIsFinal({output, layout(output).FileOffset(tensor), size});
}

absl::Status CheckpointSink::CopyFile(const std::string& relative_path, std::stop_token stop,
                                      const checksum::BytesDone& bytes_done) {
  const std::string from_path = absl::StrCat(checkpoint_.path, "/", relative_path);
  const std::string to_path = absl::StrCat(staging_, "/", relative_path);
  const UniqueFd from(open(from_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!from || fstat(from.get(), &info) != 0) {
    return format::ErrnoToStatus(errno, from_path, "copy");
  }
  absl::Status status;
  if (check_copied_) status = check_copied_(from.get(), from_path);
  if (!status.ok()) return status;
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(format::Printable(from_path), ": is no regular file and cannot be copied"));
  }
  status = MakeDirectories(staging_, ParentOf(to_path), directory_mode());
  if (!status.ok()) return status;
  auto to = format::AtomicFile::Create(to_path, static_cast<uint64_t>(info.st_size),
                                       format::IfExists::kFail);
  if (!to.ok()) return to.status();
  status = CopyContent(from.get(), from_path, static_cast<uint64_t>(info.st_size), *to, stop,
                       bytes_done);
  if (status.ok()) status = to->Commit();
  if (status.ok()) status = KeepToOurselves(to_path);
  if (status.ok()) bytes_written_ += info.st_size;
  return status;
}

absl::StatusOr<std::vector<StoredFile>> CheckpointSink::SumFiles(
    std::stop_token stop, const checksum::BytesDone& bytes_done) const {
  std::vector<StoredFile> files;
  for (const std::string& relative_path : PathsOf(plan_)) {
    const std::string path = absl::StrCat(staging_, "/", relative_path);
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return format::ErrnoToStatus(errno, path, "examine");
    absl::StatusOr<std::string> sum = checksum::Sha256OfFile(path, stop, bytes_done);
    if (!sum.ok()) return sum.status();
    files.push_back({relative_path, info.st_size, *std::move(sum)});
  }
  if (!target_.directory) files[0].path = target_.path.substr(target_.path.rfind('/') + 1);
  return files;
}

int64_t CheckpointSink::BytesToCopy() const {
  int64_t bytes = 0;
  for (const std::string& relative_path : plan_.copied) {
    struct stat info {};
    const std::string path = absl::StrCat(checkpoint_.path, "/", relative_path);
    if (stat(path.c_str(), &info) == 0) bytes += info.st_size;
  }
  return bytes;
}

// They come last, after hours perhaps.
absl::Status CheckpointSink::CheckRoomForCopies() const {
  const UniqueFd staging(open(staging_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!staging) return format::ErrnoToStatus(errno, staging_, "open");
  return format::CheckRoom(staging.get(), staging_ + ": the files that are copied",
                           static_cast<uint64_t>(BytesToCopy()));
}

// Copied files count twice: they are copied, then summed.
int64_t CheckpointSink::BytesToCommit() const {
  int64_t bytes = static_cast<int64_t>(plan_.output_bytes);
  for (const auto& [relative_path, content] : plan_.rewritten) {
    bytes += static_cast<int64_t>(content.size());
  }
  return bytes + 2 * BytesToCopy();
}

absl::StatusOr<std::vector<StoredFile>> CheckpointSink::Commit(std::stop_token stop,
                                                               const CommitHooks& hooks) {
  auto files = SyncAndPublish(std::move(stop), hooks);
  if (!files.ok()) return Named(files.status());
  return files;
}

absl::StatusOr<std::vector<StoredFile>> CheckpointSink::SyncAndPublish(std::stop_token stop,
                                                                       const CommitHooks& hooks) {
  if (stop.stop_requested()) return Stopped(target_);
  if (absl::Status status = Sync(); !status.ok()) return status;
  Reach(fault_point_, "commit.synced");
  const checksum::BytesDone bytes_done = [&hooks, done = int64_t{0},
                                          total = BytesToCommit()](int64_t bytes) mutable {
    done += bytes;
    if (hooks.progress) hooks.progress(done, total);
  };
  for (const std::string& relative_path : plan_.copied) {
    absl::Status status = CopyFile(relative_path, stop, bytes_done);
    if (!status.ok()) return status;
    Reach(fault_point_, "commit.copied");
  }
  absl::StatusOr<std::vector<StoredFile>> files = SumFiles(stop, bytes_done);
  if (!files.ok()) return files.status();
  if (stop.stop_requested()) return Stopped(target_);
  absl::Status status = SyncTree(staging_);
  if (!status.ok()) return status;
  Reach(fault_point_, "commit.summed");
  const absl::StatusOr<std::string> intent = publisher_->Intent();
  if (!intent.ok()) return intent.status();
  if (hooks.before_publish) status = hooks.before_publish(*files, *intent);
  if (!status.ok()) return status;
  Reach(fault_point_, "commit.intended");
  status = publisher_->Publish(*files, std::move(stop));
  if (!status.ok()) return status;
  Reach(fault_point_, "commit.published");
  return files;
}

}  // namespace seedlm::server
