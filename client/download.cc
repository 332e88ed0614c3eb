#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/leftovers.h"
#include "client/output_path.h"
#include "client/rpc_status.h"
#include "client/text.h"
#include "client/transfer.h"
#include "kernels/checksum/background_sha256.h"
#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/hidden_name.h"
#include "kernels/format/staged_directory.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"

namespace seedlm::client {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;

absl::Status Stopped() {
  return absl::CancelledError("interrupted; fetch it again to go on where it stopped");
}

format::IfExists Existing(bool force) {
  return force ? format::IfExists::kReplace : format::IfExists::kFail;
}

// Whether what has come is worth keeping for another try.
bool MayGoOn(const absl::Status& status) {
  return absl::IsCancelled(status) || IsRetryable(status) || absl::IsDeadlineExceeded(status);
}

// A hidden name beside `path`: the same for the same content and name, so that a later client
// resumes what one that was killed has received.
std::string WorkingName(const std::string& path, const std::string& content) {
  checksum::Sha256 hash;
  hash.Update(absl::StrCat(std::filesystem::path(path).filename().string(), "\n", content));
  return format::TemporaryNameBeside(path, hash.HexDigest());
}

// A file on its way here: what has arrived, and its hash so far.
struct Arriving {
  const v1::OutputFile& file;
  const format::AtomicFile& target;
  checksum::BackgroundSha256 hash{};
  int64_t received = 0;

  absl::Status Take(const v1::ReadArtifactResponse& chunk) {
    const auto size = static_cast<int64_t>(chunk.data().size());
    if (chunk.offset() != received || size > file.size() - received ||
        checksum::Crc32c(chunk.data()) != chunk.crc32c()) {
      return absl::DataLossError(
          absl::StrCat(file.path(), ": damaged on the way at byte ", received, "; fetch it again"));
    }
    const auto bytes = std::as_bytes(std::span(chunk.data()));
    hash.Update(bytes);
    absl::Status status = target.WriteAt(static_cast<uint64_t>(received), bytes);
    hash.Wait();
    if (status.ok()) received += size;
    return status;
  }

  // Sums what an earlier process received.
  absl::Status TakeUp(const std::stop_token& stop) {
    std::string piece(kReadBytes, '\0');
    for (const auto end = static_cast<int64_t>(target.written()); received < end;) {
      if (stop.stop_requested()) return Stopped();
      const auto size = std::min(static_cast<int64_t>(piece.size()), end - received);
      const std::span<char> part(piece.data(), static_cast<size_t>(size));
      absl::Status status =
          target.ReadAt(static_cast<uint64_t>(received), std::as_writable_bytes(part));
      if (!status.ok()) return status;
      hash.Update(std::as_bytes(part));
      hash.Wait();
      received += size;
    }
    return absl::OkStatus();
  }
};

// Takes chunks on a thread of its own while the next one is read: two messages, never more.
class ChunkDrain {
 public:
  explicit ChunkDrain(Arriving& arriving)
      : arriving_(arriving), taker_([this](const std::stop_token& stop) { Run(stop); }) {}

  // Where the next chunk is to be read into. Null: taking one has failed, Finish says how.
  v1::ReadArtifactResponse* Next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ < chunks_.size() || !error_.ok(); });
    return error_.ok() ? &chunks_[next_ % chunks_.size()] : nullptr;
  }
  // What Next gave has been read.
  void Put() {
    const std::lock_guard lock(mutex_);
    ++next_;
    ++waiting_;
    changed_.notify_all();
  }
  // Waits until all is taken. Nothing may be put afterwards.
  absl::Status Finish() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ == 0 || !error_.ok(); });
    return error_;
  }

 private:
  void Run(const std::stop_token& stop) {
    for (size_t i = 0;; ++i) {
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [this] { return waiting_ > 0; })) return;
      }
      absl::Status status = arriving_.Take(chunks_[i % chunks_.size()]);
      const std::lock_guard lock(mutex_);
      --waiting_;
      error_ = std::move(status);
      changed_.notify_all();
      if (!error_.ok()) return;
    }
  }

  Arriving& arriving_;  // the thread's own until Finish
  std::array<v1::ReadArtifactResponse, 2> chunks_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  size_t next_ = 0;     // chunks that were put; guarded by mutex_
  size_t waiting_ = 0;  // to be taken, or being taken; guarded by mutex_
  absl::Status error_;  // guarded by mutex_
  std::jthread taker_;  // last: everything above is there when it begins
};

class Downloader {
 public:
  Downloader(const TransferContext& context, const std::string& artifact, int64_t total)
      : context_(context),
        stub_(v1::ArtifactService::NewStub(context.channel)),
        artifact_(artifact),
        meter_(context, total) {}

  absl::Status FetchFile(const v1::OutputFile& file, const std::string& path,
                         format::IfExists if_exists);
  // The file was fetched before, by a process that did not come to its end.
  void Skip(const v1::OutputFile& file) { meter_.Found(file.size(), file.path()); }

 private:
  absl::Status FetchInto(const v1::OutputFile& file, const format::AtomicFile& target);
  absl::Status ReadRest(Arriving& arriving);
  // On the way, or where it comes from.
  absl::Status Damaged(const v1::OutputFile& file, const std::string& how) const {
    return absl::DataLossError(
        absl::StrCat(file.path(), ": ", how,
                     "; fetch it again, and if that says the same, the server's copy is damaged, "
                     "as seedlm artifacts verify ",
                     artifact_, " will tell: then compress it again"));
  }

  const TransferContext& context_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
  const std::string& artifact_;
  TransferMeter meter_;
};

absl::Status Downloader::FetchFile(const v1::OutputFile& file, const std::string& path,
                                   format::IfExists if_exists) {
  auto target = format::AtomicFile::Resume(path, WorkingName(path, file.sha256()),
                                           static_cast<uint64_t>(file.size()), if_exists);
  if (!target.ok()) return target.status();
  const bool resumed = target->written() > 0;
  const int64_t before = meter_.done();
  absl::Status status = FetchInto(file, *target);
  if (absl::IsDataLoss(status) && resumed) {
    // Perhaps it was what an earlier process left: a power cut can do that.
    meter_.Found(before - meter_.done(), file.path());
    status = target->Clear();
    if (status.ok()) status = FetchInto(file, *target);
  }
  if (status.ok()) return target->Commit();
  if (MayGoOn(status)) target->Keep();
  return status;
}

absl::Status Downloader::FetchInto(const v1::OutputFile& file, const format::AtomicFile& target) {
  Arriving arriving{file, target};
  if (absl::Status status = arriving.TakeUp(context_.stop); !status.ok()) return status;
  meter_.Found(arriving.received, file.path());
  int failed = 0;
  int damaged = 0;
  while (arriving.received < file.size()) {
    const int64_t before = arriving.received;
    const absl::Status status = ReadRest(arriving);
    if (context_.stop.stop_requested()) return Stopped();
    if (status.ok()) break;
    failed = arriving.received > before ? 1 : failed + 1;
    // A second wrong checksum is no accident.
    const bool again = absl::IsDataLoss(status) && ++damaged == 1;
    const absl::Status judged = again ? absl::AbortedError(status.message()) : status;
    const auto delay = NextDelay(context_.retry, judged, failed, UniformRandom());
    if (!delay) return status;
    PauseUnlessStopped(*context_.channel, *delay, context_.stop);
  }
  if (arriving.hash.HexDigest() == file.sha256()) return absl::OkStatus();
  return Damaged(file, "its SHA-256 is not the job's");
}

absl::Status Downloader::ReadRest(Arriving& arriving) {
  grpc::ClientContext context;
  const std::stop_callback cancel(context_.stop, [&context] { context.TryCancel(); });
  Watchdog watchdog(context_.silence, [&context] { context.TryCancel(); });
  v1::ReadArtifactRequest request;
  request.set_resource_name(absl::StrCat(artifact_, "/files/", arriving.file.path()));
  request.set_offset(arriving.received);
  const auto stream = stub_->ReadArtifact(&context, request);
  absl::Status taken;
  const int64_t before = arriving.received;
  int64_t moved = 0;
  {
    ChunkDrain drain(arriving);
    while (v1::ReadArtifactResponse* chunk = drain.Next()) {
      if (!stream->Read(chunk)) break;
      watchdog.Feed();
      moved += static_cast<int64_t>(chunk->data().size());
      meter_.Moved(static_cast<int64_t>(chunk->data().size()), arriving.file.path());
      drain.Put();
    }
    taken = drain.Finish();
  }
  if (!taken.ok()) {
    meter_.Found(arriving.received - before - moved, arriving.file.path());
    context.TryCancel();
    stream->Finish();
    return taken;
  }
  absl::Status status = FromRpc(stream->Finish(), context_.address);
  if (!status.ok() && watchdog.barked()) {
    return absl::UnavailableError(absl::StrCat(context_.address, ": sends nothing of ",
                                               arriving.file.path(), " any more; fetch it again"));
  }
  if (status.ok() && arriving.received < arriving.file.size()) {
    return Damaged(arriving.file,
                   absl::StrCat("ended at byte ", arriving.received, " of ", arriving.file.size()));
  }
  return status;
}

// Whether an earlier process fetched this file of the directory, whole.
bool IsThere(const v1::OutputFile& file, const std::string& path, const std::stop_token& stop) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size != static_cast<uintmax_t>(file.size())) return false;
  const auto sum = checksum::Sha256OfFile(path, stop);
  return sum.ok() && *sum == file.sha256();
}

absl::Status FetchFiles(const TransferContext& context, Downloader& downloader, const v1::Job& job,
                        const format::StagedDirectory& staged) {
  for (const auto& file : job.output_files()) {
    if (!IsSafeRelativePath(file.path())) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", Printable(file.path()),
                       "': a path that leaves its directory, refused; "
                       "do not trust this server"));
    }
    const auto path = staged.PathFor(file.path());
    if (!path.ok()) return path.status();
    if (IsThere(file, *path, context.stop)) {
      downloader.Skip(file);
      continue;
    }
    absl::Status status = downloader.FetchFile(file, *path, format::IfExists::kReplace);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status FetchDirectory(const TransferContext& context, Downloader& downloader,
                            const v1::Job& job, const std::string& out, bool force) {
  std::string content;
  for (const auto& file : job.output_files()) {
    absl::StrAppend(&content, file.sha256(), " ", file.path(), "\n");
  }
  auto staged = format::StagedDirectory::Resume(out, WorkingName(out, content), Existing(force),
                                                ContentsOf(job));
  if (!staged.ok()) return staged.status();
  RegisterLeftover(staged->working_path());
  absl::Status status = FetchFiles(context, downloader, job, *staged);
  if (status.ok()) {
    status = staged->Commit();
  } else if (MayGoOn(status)) {
    staged->Keep();
  }
  ForgetLeftover(staged->working_path());
  return status;
}

}  // namespace

absl::Status CheckResult(const v1::Job& job) {
  if (job.state() != v1::JOB_STATE_SUCCEEDED) {
    return absl::FailedPreconditionError(absl::StrCat(
        job.name(), ": has no result yet; see seedlm status, or wait for it with seedlm wait"));
  }
  if (job.output_artifact().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        job.name(), ": its result is not kept by the server; it is at ", job.destination().uri()));
  }
  if (job.output_file_count() > job.output_files_size()) {
    return absl::FailedPreconditionError(absl::StrCat(job.name(), ": has ", job.output_file_count(),
                                                      " files, more than the server can list; ",
                                                      "submit it with --to file:///PATH"));
  }
  return absl::OkStatus();
}

format::NewOutput ContentsOf(const v1::Job& job) {
  format::NewOutput output;
  for (const auto& file : job.output_files()) output.paths.insert(file.path());
  return output;
}

absl::Status Fetch(const TransferContext& context, const v1::Job& job, const std::string& out,
                   bool force) {
  if (absl::Status status = CheckResult(job); !status.ok()) return status;
  int64_t total = 0;
  for (const auto& file : job.output_files()) total += file.size();
  Downloader downloader(context, job.output_artifact(), total);
  if (!IsSingleFile(job)) return FetchDirectory(context, downloader, job, out, force);
  return downloader.FetchFile(job.output_files(0), out, Existing(force));
}

}  // namespace seedlm::client
