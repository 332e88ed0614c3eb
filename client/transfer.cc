#include "client/transfer.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/checksum.h"
#include "client/output_path.h"
#include "client/retry.h"
#include "client/rpc_status.h"
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

absl::Status Stopped() { return absl::CancelledError("interrupted"); }

}  // namespace

struct TransferClient::Stub {
  std::unique_ptr<v1::ArtifactService::Stub> service;
};

struct TransferClient::LocalFile {
  std::string path;      // here
  std::string relative;  // in the artifact
  std::string resource;  // "artifacts/ID/files/RELATIVE"
  int64_t size = 0;
  std::string sha256;
};

TransferClient::TransferClient(std::shared_ptr<grpc::Channel> channel, std::string address,
                               std::stop_token stop, OnProgress on_progress)
    : stub_(std::make_unique<Stub>(Stub{v1::ArtifactService::NewStub(channel)})),
      address_(std::move(address)),
      stop_(std::move(stop)),
      on_progress_(std::move(on_progress)) {}

TransferClient::~TransferClient() = default;

void TransferClient::Report(int64_t bytes, const std::string& current) {
  view_.done += bytes;
  view_.current = current;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  view_.rate = elapsed.count() > 0 ? static_cast<double>(view_.done) / elapsed.count() : 0;
  view_.eta_seconds =
      view_.rate > 0 ? static_cast<double>(view_.total - view_.done) / view_.rate : 0;
  on_progress_(view_);
}

absl::StatusOr<std::string> TransferClient::Upload(const std::string& path) {
  std::vector<LocalFile> files;
  bool is_directory = false;
  {
    // Refuses here what the server would refuse after the upload.
    const auto checkpoint = format::Checkpoint::Open(path);
    if (!checkpoint.ok()) return checkpoint.status();
    is_directory = checkpoint->is_directory;
    const auto add = [&](const std::string& relative) {
      const std::string full = is_directory ? path + "/" + relative : path;
      files.push_back({full, is_directory ? relative : kSingleName, "", 0, ""});
    };
    for (const auto& file : checkpoint->files) add(file.relative_path);
    for (const auto& relative : checkpoint->other_files) add(relative);
  }
  Sha256 all;
  all.Update(is_directory ? "directory\n" : "file\n");
  view_ = {.bytes = true};
  start_ = std::chrono::steady_clock::now();
  for (LocalFile& file : files) {
    std::error_code error;
    file.size = static_cast<int64_t>(fs::file_size(file.path, error));
    if (error) return format::ErrnoToStatus(error.value(), file.path, "read");
    auto digest = FileSha256(file.path, stop_);
    if (!digest.ok()) return digest.status();
    file.sha256 = *std::move(digest);
    all.Update(absl::StrCat(file.sha256, " ", file.relative, "\n"));
    view_.total += file.size;
  }
  const std::string artifact = absl::StrCat("artifacts/", all.HexDigest().substr(0, kIdDigits));
  start_ = std::chrono::steady_clock::now();
  for (LocalFile& file : files) {
    file.resource = absl::StrCat(artifact, "/files/", file.relative);
    if (absl::Status status = UploadFile(file); !status.ok()) return status;
  }
  return artifact;
}

absl::Status TransferClient::UploadFile(const LocalFile& file) {
  const int64_t before = view_.done;
  v1::QueryWriteStatusRequest query;
  query.set_resource_name(file.resource);
  int failed = 0;
  int damaged = 0;
  int64_t committed = 0;
  while (!stop_.stop_requested()) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kQueryDeadline);
    v1::QueryWriteStatusResponse progress;
    absl::Status status =
        FromRpc(stub_->service->QueryWriteStatus(&context, query, &progress), address_);
    if (absl::IsNotFound(status)) status = absl::OkStatus();  // nothing arrived yet: from 0
    if (status.ok()) {
      view_.done = before;
      Report(progress.complete() ? file.size : progress.committed_size(), file.relative);
      if (progress.complete()) return absl::OkStatus();
      if (progress.committed_size() > committed) failed = 0;
      committed = progress.committed_size();
      status = WriteFrom(file, progress.committed_size());
      if (status.ok()) return status;
    }
    // Ask again where to go on; a second wrong checksum is no accident.
    auto code = status.code();
    if (absl::IsOutOfRange(status) || (absl::IsDataLoss(status) && ++damaged == 1)) {
      code = absl::StatusCode::kAborted;
    }
    const auto delay = NextDelay(kStreamRetry, code, ++failed, UniformRandom());
    if (!delay) return status;
    SleepUnlessStopped(*delay, stop_);
  }
  return Stopped();
}

absl::Status TransferClient::WriteFrom(const LocalFile& file, int64_t offset) {
  std::ifstream in(file.path, std::ios::binary);
  if (!in || !in.seekg(offset)) return format::ErrnoToStatus(errno, file.path, "read");
  grpc::ClientContext context;
  const std::stop_callback cancel(stop_, [&context] { context.TryCancel(); });
  v1::WriteArtifactResponse response;
  const auto stream = stub_->service->WriteArtifact(&context, &response);
  v1::WriteArtifactRequest request;
  request.set_resource_name(file.resource);
  while (true) {
    const auto wanted = std::min<int64_t>(static_cast<int64_t>(kChunkBytes), file.size - offset);
    std::string& data = *request.mutable_data();
    data.resize(static_cast<size_t>(std::max<int64_t>(wanted, 0)));
    if (!data.empty() && !in.read(data.data(), static_cast<std::streamsize>(data.size()))) {
      context.TryCancel();
      return absl::FailedPreconditionError(
          absl::StrCat(file.path, ": changed while it was read; try again"));
    }
    request.set_offset(offset);
    request.set_crc32c(Crc32c(data));
    offset += static_cast<int64_t>(data.size());
    request.set_finish(offset >= file.size);
    if (request.finish()) request.set_sha256(file.sha256);
    if (!stream->Write(request)) break;  // Finish says why
    Report(static_cast<int64_t>(data.size()), file.relative);
    if (request.finish()) break;
    request.clear_resource_name();
  }
  stream->WritesDone();
  const absl::Status status = FromRpc(stream->Finish(), address_);
  return stop_.stop_requested() && !status.ok() ? Stopped() : status;
}

bool IsSingleFile(const v1::Job& job) {
  return job.output_files_size() == 1 && job.output_files(0).path().find('/') == std::string::npos;
}

absl::Status TransferClient::Fetch(const v1::Job& job, const std::string& out, bool as_directory,
                                   bool force) {
  if (job.state() != v1::JOB_STATE_SUCCEEDED) {
    return absl::FailedPreconditionError(absl::StrCat(
        job.name(), ": has no result yet; see seedlm status, or wait for it with seedlm wait"));
  }
  if (job.output_artifact().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        job.name(), ": its result is at ", job.destination().uri(), ", not kept by the server"));
  }
  view_ = {.bytes = true};
  for (const auto& file : job.output_files()) view_.total += file.size();
  start_ = std::chrono::steady_clock::now();
  if (!as_directory && IsSingleFile(job)) {
    return FetchFile(job.output_artifact(), job.output_files(0), out, force);
  }
  auto staged = StagedDirectory::Create(out, force);
  if (!staged.ok()) return staged.status();
  for (const auto& file : job.output_files()) {
    const auto path = staged->PathFor(file.path());
    if (!path.ok()) return path.status();
    absl::Status status = FetchFile(job.output_artifact(), file, *path, false);
    if (!status.ok()) return status;
  }
  return staged->Commit();
}

// A file on its way here: what has arrived, and its hash so far.
struct TransferClient::Download {
  const v1::OutputFile& file;
  const format::AtomicFile& target;
  v1::ReadArtifactRequest request;
  Sha256 hash;
  int64_t received = 0;

  absl::Status Take(const v1::ReadArtifactResponse& chunk) {
    const auto size = static_cast<int64_t>(chunk.data().size());
    if (chunk.offset() != received || size > file.size() - received ||
        Crc32c(chunk.data()) != chunk.crc32c()) {
      return absl::DataLossError(
          absl::StrCat(file.path(), ": damaged on the way at byte ", received, "; fetch it again"));
    }
    hash.Update(chunk.data());
    const auto* bytes = reinterpret_cast<const std::byte*>(chunk.data().data());
    absl::Status status =
        target.WriteAt(static_cast<uint64_t>(received), {bytes, chunk.data().size()});
    received += size;
    return status;
  }
};

absl::Status TransferClient::FetchFile(const std::string& artifact, const v1::OutputFile& file,
                                       const std::string& path, bool force) {
  auto target =
      format::AtomicFile::Create(path, static_cast<uint64_t>(file.size()),
                                 force ? format::IfExists::kReplace : format::IfExists::kFail);
  if (!target.ok()) return target.status();
  Download download{file, *target, {}, {}};
  download.request.set_resource_name(absl::StrCat(artifact, "/files/", file.path()));
  int failed = 0;
  while (download.received < file.size()) {
    const int64_t before = download.received;
    const absl::Status status = ReadRest(download);
    if (stop_.stop_requested()) return Stopped();
    if (status.ok()) break;
    failed = download.received > before ? 1 : failed + 1;
    const auto delay = NextDelay(kStreamRetry, status.code(), failed, UniformRandom());
    if (!delay) return status;
    SleepUnlessStopped(*delay, stop_);
  }
  if (download.hash.HexDigest() != file.sha256()) {
    return absl::DataLossError(
        absl::StrCat(file.path(), ": its SHA-256 is not the job's; fetch it again"));
  }
  return target->Commit();
}

absl::Status TransferClient::ReadRest(Download& download) {
  grpc::ClientContext context;
  const std::stop_callback cancel(stop_, [&context] { context.TryCancel(); });
  download.request.set_offset(download.received);
  const auto stream = stub_->service->ReadArtifact(&context, download.request);
  absl::Status taken;
  v1::ReadArtifactResponse chunk;
  while (taken.ok() && stream->Read(&chunk)) {
    taken = download.Take(chunk);
    Report(static_cast<int64_t>(chunk.data().size()), download.file.path());
  }
  if (!taken.ok()) {
    context.TryCancel();
    stream->Finish();
    return taken;
  }
  absl::Status status = FromRpc(stream->Finish(), address_);
  if (status.ok() && download.received < download.file.size()) {
    return absl::DataLossError(absl::StrCat(download.file.path(), ": ended at byte ",
                                            download.received, " of ", download.file.size(),
                                            "; fetch it again"));
  }
  return status;
}

}  // namespace seedlm::client
