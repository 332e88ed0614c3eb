#include "server/scheduler/checkpoint_source.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/text.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"
#include "server/scheduler/policy.h"
#include "server/storage/artifact_name.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

// More than the format reads of a directory.
constexpr int kMaxEntriesLookedAt = 200'000;
constexpr int kMaxDepthLookedAt = 16;

format::CompressionOptions OptionsOf(const JobSpec& spec) {
  format::CompressionOptions options{spec.profile, spec.fit, spec.scale, spec.include,
                                     spec.exclude};
  options.exclude.insert(options.exclude.end(), spec.skip.begin(), spec.skip.end());
  return options;
}

// Of everything that a job writes.
int64_t DiskBytes(const Estimate& estimate) {
  return estimate.output_bytes + estimate.scratch_bytes;
}

// Whether a job writes below the data directory, where bytes are their owner's.
bool TakesRoom(const JobDestination& destination) {
  return destination.managed || destination.at_s3();
}

// With the field: FIELD_INVALID where its value is wrong and nobody has said why in a word; of a
// thing that is not there, where it was looked for.
absl::Status ForField(absl::Status status, std::string_view field) {
  if (absl::IsInvalidArgument(status) && ReasonOf(status).empty()) {
    return WithReason(std::move(status), "FIELD_INVALID", {{"field", field}});
  }
  if (absl::IsNotFound(status)) {
    return WithDetails(std::move(status), {{"field", std::string(field)}});
  }
  return status;
}

// What a result could not be fetched with: its files have the names of the source's.
absl::Status CheckFetchable(const format::OutputPaths& paths) {
  for (const std::string& path : paths) {
    const std::string problem = ArtifactPathProblem(path);
    if (problem.empty()) continue;
    return WithReason(absl::InvalidArgumentError(absl::StrCat(
                          "job.destination: the file '", format::Printable(path),
                          "' of the source could not be fetched from a managed result, as ",
                          problem, "; rename it, or name a uri for the output")),
                      "FIELD_INVALID", {{"field", "job.destination"}, {"file", path}});
  }
  return absl::OkStatus();
}

// A reason where the code alone says too little.
absl::Status ForCheckpoint(absl::Status status) {
  if (absl::IsInvalidArgument(status) && ReasonOf(status).empty()) {
    return WithReason(std::move(status), "CHECKPOINT_INVALID", {{"field", "job.source"}});
  }
  return status;
}

}  // namespace

absl::StatusOr<std::string> SourceLocator::SourcePath(const JobRequest& request) const {
  const JobSource& source = request.source;
  if (source.artifact.empty() == source.uri.empty()) {
    return InvalidField("job.source", "name an artifact or a uri, and not both");
  }
  if (source.uri.empty()) {
    absl::StatusOr<std::string> path = artifacts_.Of(request.owner).CheckpointPath(source.artifact);
    if (!path.ok()) return ForField(path.status(), "job.source.artifact");
    return path;
  }
  absl::StatusOr<std::string> path = roots_.ResolveUri(source.uri);
  if (!path.ok()) return ForField(path.status(), "job.source.uri");
  if (absl::Status status = CheckLinks(*path); !status.ok()) return status;
  return path;
}

// Looks at names only, as nothing outside of the roots may be opened. What is behind a link that is
// swung round afterwards is caught by CheckConfined, before any weight is read.
absl::Status SourceLocator::CheckLinks(const std::string& directory) const {
  std::error_code error;
  int entries = 0;
  const auto follow = fs::directory_options::follow_directory_symlink;
  for (fs::recursive_directory_iterator it(directory, follow, error), end; !error && it != end;
       it.increment(error)) {
    if (++entries > kMaxEntriesLookedAt) break;  // Checkpoint::Open refuses it, with the reason
    std::error_code ignored;
    const bool hidden = it->path().filename().string().starts_with('.');
    if (it.depth() >= kMaxDepthLookedAt || (hidden && it->is_directory(ignored))) {
      it.disable_recursion_pending();  // not the checkpoint's
      if (hidden) continue;
    }
    if (!it->is_symlink(ignored) || !it->exists(ignored)) continue;
    absl::Status status = roots_.Resolve(it->path().string()).status();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();  // a file, or something that Checkpoint::Open cannot list either
}

absl::Status SourceLocator::CheckConfined(const format::Checkpoint& checkpoint) const {
  for (const format::CheckpointFile& file : checkpoint.files) {
    absl::Status status = roots_.Resolve(file.file->path()).status();
    if (!status.ok()) return status;
  }
  for (const std::string& file : checkpoint.other_files) {
    absl::Status status = roots_.Resolve(absl::StrCat(checkpoint.path, "/", file)).status();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<SinkTarget> SourceLocator::Target(const JobRequest& request,
                                                 std::string_view id) const {
  const JobDestination& destination = request.destination;
  if (destination.managed != destination.uri.empty()) {
    return InvalidField("job.destination", "set managed or a uri, and not both");
  }
  SinkTarget target;
  target.id = std::string(id);
  if (TakesRoom(destination)) {
    absl::Status here = artifacts_.Of(request.owner).CheckHere();
    if (!here.ok()) return here;
  }
  if (destination.managed) {
    // Nobody else has this name: what is there was left by an earlier attempt.
    target.path = artifacts_.Of(request.owner).ResultPath(id);
    target.directory = true;
    target.overwrite = true;
    target.result = true;
    return target;
  }
  if (destination.at_s3()) {
    absl::StatusOr<s3::Location> location = s3::ParseUri(destination.uri);
    if (!location.ok()) return ForField(location.status(), "job.destination.uri");
    target.path = artifacts_.Of(request.owner).S3StagingPath(id);
    target.directory = true;
    target.overwrite = destination.overwrite;
    target.s3 = *std::move(location);
    return target;
  }
  absl::StatusOr<std::string> path = roots_.ResolveOutputUri(destination.uri);
  if (!path.ok()) return ForField(path.status(), "job.destination.uri");
  target.path = *std::move(path);
  target.overwrite = destination.overwrite;
  return target;
}

absl::Status SourceLocator::CheckSourceStays(const JobRequest& request) const {
  return request.source.artifact.empty() ? absl::OkStatus() : SourcePath(request).status();
}

absl::Status SourceLocator::CheckRoom(const JobRecord& job, bool resumed) const {
  if (!TakesRoom(job.request.destination)) return absl::OkStatus();
  return artifacts_.Of(job.request.owner)
      .CheckRoom(DiskBytes(job.estimate), resumed ? IdOf(job.name) : "");
}

ResultReservation SourceLocator::ReserveResult(const JobRecord& job) const {
  const JobDestination& destination = job.request.destination;
  if (!TakesRoom(destination)) return {};
  ArtifactStore& store = artifacts_.Of(job.request.owner);
  return destination.managed ? store.ReserveResult(IdOf(job.name), DiskBytes(job.estimate))
                             : store.ReserveRoom(IdOf(job.name), DiskBytes(job.estimate));
}

// An artifact by its name: its path here says nothing to who uploaded it.
absl::Status SourceLocator::OfArtifact(const JobRequest& request,
                                       const absl::Status& status) const {
  const std::string& artifact = request.source.artifact;
  if (artifact.empty()) return status;
  const bool of_content = absl::IsInvalidArgument(status) || absl::IsDataLoss(status);
  absl::Status named(status.code(),
                     absl::StrCat(WithoutDataDir(request, status.message()),
                                  of_content ? absl::StrCat("; if your file is whole, delete ",
                                                            artifact, ", and upload it again")
                                             : std::string()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    named.SetPayload(url, absl::Cord(WithoutDataDir(request, std::string(value))));
  });
  return named;
}

absl::StatusOr<format::Checkpoint> SourceLocator::OpenSource(const JobRequest& request) const {
  const absl::StatusOr<std::string> path = SourcePath(request);
  if (!path.ok()) return path.status();
  absl::StatusOr<format::Checkpoint> checkpoint = format::Checkpoint::Open(*path);
  if (!checkpoint.ok()) return OfArtifact(request, ForCheckpoint(checkpoint.status()));
  if (!request.source.uri.empty()) {
    if (absl::Status confined = CheckConfined(*checkpoint); !confined.ok()) return confined;
  }
  return checkpoint;
}

absl::StatusOr<std::unique_ptr<const PlannedJob>> SourceLocator::Plan(
    const JobRequest& request, std::string_view id, const S3Patience& patience) const {
  absl::StatusOr<SinkTarget> target = Target(request, id);
  if (!target.ok()) return target.status();
  if (!target->in_data_dir()) {
    // Others may write around it: its name may lead elsewhere by the time it is written.
    absl::Status status = PinParent(*target);
    if (!status.ok()) return ForField(status, "job.destination.uri");
  }
  absl::StatusOr<format::Checkpoint> checkpoint = OpenSource(request);
  if (!checkpoint.ok()) {
    // What is wrong with the target is said first: a client asks before it uploads the source.
    absl::Status status =
        target->s3.has_value() ? s3_.Check(*target, patience) : CheckTargetAlone(*target);
    return status.ok() ? checkpoint.status() : ForField(status, "job.destination.uri");
  }

  auto planned = std::make_unique<PlannedJob>();
  planned->checkpoint = *std::move(checkpoint);
  planned->target = *std::move(target);
  planned->artifact = request.source.artifact;
  if (!request.source.uri.empty()) {  // artifacts lie where no uri may lead
    planned->check_copied = [this](int fd, const std::string& path) {
      return roots_.CheckOpened(fd, path);
    };
  }
  planned->target.directory |= planned->checkpoint.is_directory;
  absl::StatusOr<format::CompressionPlan> plan =
      format::PlanCompression(planned->checkpoint, OptionsOf(request.spec));
  if (!plan.ok()) return ForCheckpoint(plan.status());
  planned->plan = *std::move(plan);
  absl::Status status = CheckRowLengths(planned->plan);
  if (!status.ok()) return status;
  const SinkTarget& to = planned->target;
  status = to.s3.has_value() ? s3_.Check(to, patience)
                             : CheckTarget(to, planned->checkpoint.path, PathsOf(planned->plan));
  if (!status.ok()) return ForField(status, "job.destination.uri");
  if (to.result) status = CheckFetchable(PathsOf(planned->plan));
  if (!status.ok()) return status;
  return planned;
}

}  // namespace seedlm::server
