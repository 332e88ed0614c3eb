#include "server/scheduler/checkpoint_source.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

format::CompressionOptions OptionsOf(const JobSpec& spec) {
  format::CompressionOptions options{spec.profile, spec.fit, spec.scale, spec.include,
                                     spec.exclude};
  options.exclude.insert(options.exclude.end(), spec.skip.begin(), spec.skip.end());
  return options;
}

// A reason where the code alone says too little.
absl::Status ForCheckpoint(absl::Status status) {
  if (absl::IsInvalidArgument(status) && ReasonOf(status).empty()) {
    return WithReason(std::move(status), "CHECKPOINT_INVALID", {{"field", "job.source"}});
  }
  return status;
}

}  // namespace

absl::StatusOr<std::string> SourceLocator::SourcePath(const JobSource& source) const {
  if (source.artifact.empty() == source.uri.empty()) {
    return absl::InvalidArgumentError("job.source: name an artifact or a uri, and not both");
  }
  return source.uri.empty() ? artifacts_.CheckpointPath(source.artifact)
                            : roots_.ResolveUri(source.uri);
}

absl::Status SourceLocator::CheckConfined(const format::Checkpoint& checkpoint) const {
  const auto check = [&](const std::string& relative_path) {
    return roots_.Resolve(absl::StrCat(checkpoint.path, "/", relative_path)).status();
  };
  for (const format::CheckpointFile& file : checkpoint.files) {
    if (absl::Status status = check(file.relative_path); !status.ok()) return status;
  }
  for (const std::string& file : checkpoint.other_files) {
    if (absl::Status status = check(file); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<SinkTarget> SourceLocator::Target(const JobRequest& request,
                                                 std::string_view id) const {
  const JobDestination& destination = request.destination;
  if (destination.managed != destination.uri.empty()) {
    return absl::InvalidArgumentError("job.destination: set managed or a uri, and not both");
  }
  SinkTarget target;
  target.id = std::string(id);
  if (destination.managed) {
    // Nobody else has this name: what is there was left by an earlier attempt.
    target.path = artifacts_.ResultPath(id);
    target.directory = true;
    target.overwrite = true;
    target.result = true;
    return target;
  }
  absl::StatusOr<std::string> path = roots_.ResolveUri(destination.uri);
  if (!path.ok()) return path.status();
  target.path = *std::move(path);
  target.overwrite = destination.overwrite;
  return target;
}

absl::StatusOr<std::unique_ptr<const PlannedJob>> SourceLocator::Plan(const JobRequest& request,
                                                                      std::string_view id) const {
  const absl::StatusOr<std::string> path = SourcePath(request.source);
  if (!path.ok()) return path.status();
  absl::StatusOr<SinkTarget> target = Target(request, id);
  if (!target.ok()) return target.status();
  absl::StatusOr<format::Checkpoint> checkpoint = format::Checkpoint::Open(*path);
  if (!checkpoint.ok()) return ForCheckpoint(checkpoint.status());

  auto planned = std::make_unique<PlannedJob>();
  planned->checkpoint = *std::move(checkpoint);
  planned->target = *std::move(target);
  if (planned->checkpoint.is_directory) {
    planned->target.directory = true;
    if (!request.source.uri.empty()) {
      absl::Status confined = CheckConfined(planned->checkpoint);
      if (!confined.ok()) return confined;
    }
  }
  absl::StatusOr<format::CompressionPlan> plan =
      format::PlanCompression(planned->checkpoint, OptionsOf(request.spec));
  if (!plan.ok()) return ForCheckpoint(plan.status());
  planned->plan = *std::move(plan);
  absl::Status status = CheckTarget(planned->target, *path);
  if (!status.ok()) return status;
  return planned;
}

}  // namespace seedlm::server
