#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/artifact_path.h"
#include "client/rpc_status.h"
#include "client/text.h"
#include "client/transfer.h"
#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/checkpoint.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"

namespace seedlm::client {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr size_t kIdDigits = 40;  // of the SHA-256 of all names and contents
constexpr std::chrono::seconds kQueryDeadline{30};
constexpr char kSingleName[] = "model.safetensors";
// The server syncs and sums a whole file at its end, and says nothing meanwhile.
constexpr int kFinishSilences = 20;

using LocalFile = PendingUpload::File;

struct LocalCheckpoint {
  bool is_directory = false;
  std::vector<LocalFile> files{};
};

absl::Status Stopped() {
  return absl::CancelledError("interrupted; a second submit goes on where this one stopped");
}

// Refuses here what the server would refuse after the upload.
absl::StatusOr<LocalCheckpoint> OpenLocal(const std::string& path) {
  const auto checkpoint = format::Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  LocalCheckpoint local{.is_directory = checkpoint->is_directory};
  const auto add = [&](const std::string& relative) {
    const std::string full = local.is_directory ? path + "/" + relative : path;
    local.files.push_back({full, local.is_directory ? relative : kSingleName});
  };
  for (const auto& file : checkpoint->files) add(file.relative_path);
  for (const auto& relative : checkpoint->other_files) add(relative);
  for (const LocalFile& file : local.files) {
    const std::string problem = ArtifactPathProblem(file.relative);
    if (problem.empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(Printable(file.path), ": cannot be uploaded: ", problem, "; rename it"));
  }
  return local;
}

// A file open for reading.
class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)), error_(errno) {}
  ~Reader() {
    if (fd_ >= 0) close(fd_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Fills `data`. FAILED_PRECONDITION if the file has become shorter.
  absl::Status Read(int64_t offset, std::string& data) const {
    if (fd_ < 0) return format::ErrnoToStatus(error_, path_, "read");
    for (size_t done = 0; done < data.size();) {
      const ssize_t count = pread(fd_, data.data() + done, data.size() - done,
                                  static_cast<off_t>(offset + static_cast<int64_t>(done)));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return format::ErrnoToStatus(errno, path_, "read");
      if (count == 0) {
        return absl::FailedPreconditionError(
            absl::StrCat(Printable(path_), ": changed while it was read; try again"));
      }
      done += static_cast<size_t>(count);
    }
    return absl::OkStatus();
  }

 private:
  const std::string& path_;
  int fd_;
  int error_;
};

// The chunks of a file from `offset` on, as messages of a stream, in order. The next one is read
// and summed on a thread of its own while the last one is sent: two messages, never more.
class ChunkFeed {
 public:
  // `after`: bytes of the files that are sent after this one.
  ChunkFeed(const LocalFile& file, int64_t offset, int64_t after)
      : file_(file),
        offset_(offset),
        after_(after),
        in_(file.path),
        reader_([this](const std::stop_token& stop) { Run(stop); }) {}

  // Valid until the next call. After the message with `finish` nothing may be asked for.
  absl::StatusOr<const v1::WriteArtifactRequest*> Next() {
    std::unique_lock lock(mutex_);
    if (taken_) {
      --filled_;
      changed_.notify_all();
    }
    taken_ = true;
    changed_.wait(lock, [this] { return filled_ > 0 || !error_.ok(); });
    if (filled_ == 0) return error_;
    return &requests_[next_++ % requests_.size()];
  }

 private:
  void Run(const std::stop_token& stop) {
    bool more = true;
    for (size_t i = 0; more; ++i) {
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [this] { return filled_ < requests_.size(); })) return;
      }
      v1::WriteArtifactRequest& request = requests_[i % requests_.size()];
      const absl::Status status = Fill(request, i == 0);
      more = status.ok() && !request.finish();
      const std::lock_guard lock(mutex_);
      if (status.ok()) {
        ++filled_;
      } else {
        error_ = status;
      }
      changed_.notify_all();
    }
  }

  absl::Status Fill(v1::WriteArtifactRequest& request, bool first) {
    request.set_resource_name(first ? file_.resource : "");
    request.set_bytes_to_come(first ? std::max<int64_t>(0, file_.size - offset_) + after_ : 0);
    const int64_t wanted =
        std::clamp<int64_t>(file_.size - offset_, 0, static_cast<int64_t>(kChunkBytes));
    request.mutable_data()->resize(static_cast<size_t>(wanted));
    absl::Status status = in_.Read(offset_, *request.mutable_data());
    if (!status.ok()) return status;
    request.set_offset(offset_);
    request.set_crc32c(checksum::Crc32c(request.data()));
    offset_ += wanted;
    request.set_finish(offset_ >= file_.size);
    if (request.finish()) request.set_sha256(file_.sha256);
    return absl::OkStatus();
  }

  const LocalFile& file_;
  int64_t offset_;  // of the next chunk to be read; the thread's own
  const int64_t after_;
  const Reader in_;
  std::array<v1::WriteArtifactRequest, 2> requests_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  size_t filled_ = 0;    // messages that are ready or being sent; guarded by mutex_
  size_t next_ = 0;      // guarded by mutex_
  bool taken_ = false;   // the last one is being sent; guarded by mutex_
  absl::Status error_;   // guarded by mutex_
  std::jthread reader_;  // last: everything above is there when it begins
};

class Uploader {
 public:
  Uploader(const TransferContext& context, int64_t total)
      : context_(context),
        stub_(v1::ArtifactService::NewStub(context.channel)),
        meter_(context, total) {}

  // `after`: bytes of the files that are sent after this one.
  absl::Status Send(const LocalFile& file, int64_t after);

 private:
  absl::StatusOr<v1::QueryWriteStatusResponse> Query(const LocalFile& file);
  absl::Status WriteFrom(const LocalFile& file, int64_t offset, int64_t after);
  absl::Status WriteChunks(grpc::ClientWriter<v1::WriteArtifactRequest>& stream,
                           const LocalFile& file, ChunkFeed& feed, Watchdog& watchdog);

  const TransferContext& context_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
  TransferMeter meter_;
};

absl::StatusOr<v1::QueryWriteStatusResponse> Uploader::Query(const LocalFile& file) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kQueryDeadline);
  const std::stop_callback cancel(context_.stop, [&context] { context.TryCancel(); });
  v1::QueryWriteStatusRequest query;
  query.set_resource_name(file.resource);
  v1::QueryWriteStatusResponse progress;
  const absl::Status status =
      FromRpc(stub_->QueryWriteStatus(&context, query, &progress), context_.address);
  if (status.ok()) return progress;
  if (absl::IsNotFound(status)) return v1::QueryWriteStatusResponse();  // nothing yet: from 0
  return status;
}

absl::Status Uploader::Send(const LocalFile& file, int64_t after) {
  const int64_t before = meter_.done();
  int failed = 0;
  int damaged = 0;
  int64_t committed = 0;
  while (!context_.stop.stop_requested()) {
    const auto progress = Query(file);
    absl::Status status = progress.status();
    if (status.ok()) {
      const int64_t there = progress->complete() ? file.size : progress->committed_size();
      meter_.Found(before + there - meter_.done(), file.relative);
      if (progress->complete()) return absl::OkStatus();
      // It grows, by us or by another process that uploads the same: patience begins anew.
      if (there > committed) failed = 0;
      committed = there;
      status = WriteFrom(file, there, after);
      if (status.ok()) return status;
    }
    // Ask again where to go on; a second wrong checksum is no accident.
    const bool goes_on = absl::IsOutOfRange(status) || (absl::IsDataLoss(status) && ++damaged == 1);
    const absl::Status judged = goes_on ? absl::AbortedError(status.message()) : status;
    const auto delay = NextDelay(context_.retry, judged, ++failed, UniformRandom());
    if (!delay) return context_.stop.stop_requested() ? Stopped() : status;
    PauseUnlessStopped(*context_.channel, *delay, context_.stop);
  }
  return Stopped();
}

absl::Status Uploader::WriteChunks(grpc::ClientWriter<v1::WriteArtifactRequest>& stream,
                                   const LocalFile& file, ChunkFeed& feed, Watchdog& watchdog) {
  while (true) {
    const auto request = feed.Next();
    if (!request.ok()) return request.status();
    if (!stream.Write(**request)) return absl::OkStatus();  // the end of the stream says why
    watchdog.Feed();
    meter_.Moved(static_cast<int64_t>((*request)->data().size()), file.relative);
    if ((*request)->finish()) return absl::OkStatus();
  }
}

// A disk that is full: whose?
absl::Status OfServer(const absl::Status& status, const std::string& address) {
  if (ErrorReason(status) != "RESOURCE_EXHAUSTED") return status;
  absl::Status named(status.code(), absl::StrCat(address, ": ", status.message()));
  status.ForEachPayload([&](const auto& url, const auto& value) { named.SetPayload(url, value); });
  return named;
}

absl::Status Uploader::WriteFrom(const LocalFile& file, int64_t offset, int64_t after) {
  grpc::ClientContext context;
  const std::stop_callback cancel(context_.stop, [&context] { context.TryCancel(); });
  const auto give_up = [&context] { context.TryCancel(); };
  v1::WriteArtifactResponse response;
  const auto stream = stub_->WriteArtifact(&context, &response);
  bool silent = false;
  {
    Watchdog watchdog(context_.silence, give_up);
    ChunkFeed feed(file, offset, after);
    const absl::Status local = WriteChunks(*stream, file, feed, watchdog);
    silent = watchdog.barked();
    if (!local.ok()) {
      context.TryCancel();
      stream->Finish();
      return local;
    }
  }
  const Watchdog watchdog(context_.silence * kFinishSilences, give_up);
  stream->WritesDone();
  const absl::Status status =
      OfServer(FromRpc(stream->Finish(), context_.address), context_.address);
  if (!status.ok() && context_.stop.stop_requested()) return Stopped();
  if (!status.ok() && (silent || watchdog.barked())) {
    return absl::UnavailableError(absl::StrCat(context_.address, ": takes nothing of ",
                                               file.relative, " any more; submit it again"));
  }
  return status;
}

}  // namespace

absl::StatusOr<PendingUpload> PendingUpload::Sum(const TransferContext& context,
                                                 const std::string& path) {
  auto local = OpenLocal(path);
  if (!local.ok()) return local.status();
  checksum::Sha256 all;
  all.Update(local->is_directory ? "directory\n" : "file\n");
  int64_t total = 0;
  for (LocalFile& file : local->files) {
    std::error_code error;
    file.size = static_cast<int64_t>(fs::file_size(file.path, error));
    if (error) return format::ErrnoToStatus(error.value(), file.path, "read");
    total += file.size;
  }
  TransferMeter meter(context, total);  // sums take a while too
  for (LocalFile& file : local->files) {
    auto digest = checksum::Sha256OfFile(file.path, context.stop, [&](int64_t bytes) {
      meter.Moved(bytes, absl::StrCat(kSumming, file.relative));
    });
    if (!digest.ok()) return context.stop.stop_requested() ? Stopped() : digest.status();
    file.sha256 = *std::move(digest);
    all.Update(absl::StrCat(file.sha256, " ", file.relative, "\n"));
  }
  PendingUpload upload;
  upload.artifact_ = {absl::StrCat("artifacts/", all.HexDigest().substr(0, kIdDigits)),
                      local->is_directory};
  for (LocalFile& file : local->files) {
    file.resource = absl::StrCat(upload.artifact_.name, "/files/", file.relative);
  }
  upload.files_ = std::move(local->files);
  return upload;
}

absl::Status PendingUpload::Send(const TransferContext& context) const {
  int64_t after = 0;
  for (const File& file : files_) after += file.size;
  Uploader uploader(context, after);
  for (const File& file : files_) {
    after -= file.size;
    if (absl::Status status = uploader.Send(file, after); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace seedlm::client
