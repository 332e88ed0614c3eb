#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "client/checksum.h"
#include "client/leftovers.h"
#include "client/output_path.h"
#include "client/rpc_status.h"
#include "client/text.h"
#include "client/transfer.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/staged_directory.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"

namespace seedlm::client {
namespace {

absl::Status Stopped() { return absl::CancelledError("interrupted; nothing was written"); }

format::IfExists Existing(bool force) {
  return force ? format::IfExists::kReplace : format::IfExists::kFail;
}

// A file on its way here: what has arrived, and its hash so far.
struct Arriving {
  const v1::OutputFile& file;
  const format::AtomicFile& target;
  Sha256 hash{};
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

class Downloader {
 public:
  Downloader(const TransferContext& context, const std::string& artifact, int64_t total)
      : context_(context),
        stub_(v1::ArtifactService::NewStub(context.channel)),
        artifact_(artifact),
        meter_(context, total) {}

  absl::Status FetchFile(const v1::OutputFile& file, const std::string& path,
                         format::IfExists if_exists);

 private:
  absl::Status ReadRest(Arriving& arriving);

  const TransferContext& context_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
  const std::string& artifact_;
  TransferMeter meter_;
};

absl::Status Downloader::FetchFile(const v1::OutputFile& file, const std::string& path,
                                   format::IfExists if_exists) {
  auto target = format::AtomicFile::Create(path, static_cast<uint64_t>(file.size()), if_exists);
  if (!target.ok()) return target.status();
  Arriving arriving{file, *target};
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
    SleepUnlessStopped(*delay, context_.stop);
  }
  if (arriving.hash.HexDigest() != file.sha256()) {
    return absl::DataLossError(
        absl::StrCat(file.path(), ": its SHA-256 is not the job's; fetch it again"));
  }
  return target->Commit();
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
  v1::ReadArtifactResponse chunk;
  while (taken.ok() && stream->Read(&chunk)) {
    watchdog.Feed();
    taken = arriving.Take(chunk);
    if (taken.ok()) meter_.Moved(static_cast<int64_t>(chunk.data().size()), arriving.file.path());
  }
  if (!taken.ok()) {
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
    return absl::DataLossError(absl::StrCat(arriving.file.path(), ": ended at byte ",
                                            arriving.received, " of ", arriving.file.size(),
                                            "; fetch it again"));
  }
  return status;
}

absl::Status FetchDirectory(Downloader& downloader, const v1::Job& job, const std::string& out,
                            bool force) {
  auto staged = format::StagedDirectory::Create(out, Existing(force));
  if (!staged.ok()) return staged.status();
  RegisterLeftover(staged->working_path());
  for (const auto& file : job.output_files()) {
    if (!IsSafeRelativePath(file.path())) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", Printable(file.path()),
                       "': a path that leaves its directory, refused; "
                       "do not trust this server"));
    }
    const auto path = staged->PathFor(file.path());
    if (!path.ok()) return path.status();
    absl::Status status = downloader.FetchFile(file, *path, format::IfExists::kFail);
    if (!status.ok()) return status;
  }
  absl::Status status = staged->Commit();
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

absl::Status Fetch(const TransferContext& context, const v1::Job& job, const std::string& out,
                   bool force) {
  if (absl::Status status = CheckResult(job); !status.ok()) return status;
  int64_t total = 0;
  for (const auto& file : job.output_files()) total += file.size();
  Downloader downloader(context, job.output_artifact(), total);
  if (!IsSingleFile(job)) return FetchDirectory(downloader, job, out, force);
  return downloader.FetchFile(job.output_files(0), out, Existing(force));
}

}  // namespace seedlm::client
