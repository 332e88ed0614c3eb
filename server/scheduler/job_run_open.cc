// JobRun: how it begins, and what it takes over from an earlier attempt.
#include <spdlog/logger.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/scheduler/job_run.h"

namespace seedlm::server {
absl::Status JobRun::Open() {
  const absl::StatusOr<JobRecord> running = [this] {
    const std::lock_guard change(state_mutex_);
    return context_.store->Update(name(), {JobState::kRunning, progress_, {}, {}});
  }();
  if (!running.ok()) return running.status();
  Reach(context_.fault_point, "open.running");
  context_.events->Notify(name());
  context_.log->info("attempt {} started", running->attempt);

  absl::StatusOr<JobWork> work = context_.store->ReadWork(name());
  if (!work.ok()) return work.status();
  work_ = *std::move(work);
  if (work_->identity.has_value()) {
    std::string& source = work_->identity->source;
    source = IdentityWherever(source, job_.request.source.artifact);
  }
  log_.SetRecorded(!work_->pieces.empty());
  if (work_->publication.has_value()) {
    // Before the plan, which would find the output there.
    const absl::StatusOr<bool> published = WasPublished(*work_->publication);
    if (!published.ok()) return published.status();
    if (*published) {
      EndPublished(*work_->publication);
      return absl::OkStatus();
    }
  }
  publication_known_ = true;
  absl::StatusOr<std::unique_ptr<const PlannedJob>> planned = context_.locator->Plan(
      job_.request, IdOf(name()), {.attempts = 0, .stop = stop_.get_token()});
  if (!planned.ok()) return planned.status();
  return OpenPlanned(*std::move(planned));
}

absl::StatusOr<std::unique_ptr<Publisher>> JobRun::MakePublisher() const {
  const absl::StatusOr<SinkTarget> target = context_.locator->Target(job_.request, IdOf(name()));
  if (!target.ok()) return target.status();
  return context_.make_publisher(*target);
}

absl::StatusOr<bool> JobRun::WasPublished(const Publication& publication) {
  const absl::StatusOr<std::unique_ptr<Publisher>> publisher = MakePublisher();
  if (!publisher.ok()) return publisher.status();
  std::vector<StoredFile> files;
  for (const OutputFile& file : publication.files) {
    files.push_back({file.path, file.size, file.sha256});
  }
  return (*publisher)->WasPublished(publication.intent, files, stop_.get_token());
}

void JobRun::EndPublished(const Publication& publication) {
  context_.log->info("an earlier attempt published the output");
  const absl::StatusOr<std::unique_ptr<Publisher>> publisher = MakePublisher();
  if (publisher.ok()) (void)(*publisher)->Discard();  // a hidden directory more or less
  const std::lock_guard lock(mutex_);
  output_files_ = publication.files;
  progress_.weights_done = progress_.weights_total;
  weights_kept_ = progress_.weights_total;
  for (const OutputFile& file : output_files_) progress_.bytes_written += file.size;
  succeeded_ = true;
  phase_ = Phase::kDone;
}

absl::StatusOr<bool> JobRun::TakeUpWork(const WorkIdentity& identity) {
  if (work_->identity.has_value() && !work_->pieces.empty()) {
    absl::Status status = CheckSameSource(*work_->identity, identity);
    if (!status.ok()) return status;
  }
  if (work_->identity == identity) return true;
  if (!work_->pieces.empty()) {
    context_.log->info("cut into other pieces than before: it begins anew");
  }
  work_ = JobWork{};
  log_.SetRecorded(false);
  absl::Status status = context_.store->BeginWork(name(), identity);
  if (!status.ok()) return status;
  Reach(context_.fault_point, "open.begun");
  return false;
}

absl::Status JobRun::OpenPlanned(std::unique_ptr<const PlannedJob> planned) {
  auto backend = context_.open_backend(job_.request.spec.backend);
  if (!backend.ok()) return backend.status();
  const absl::StatusOr<WorkIdentity> identity = IdentityOf(*planned, context_.shard_weights);
  if (!identity.ok()) return identity.status();
  if (const absl::Status ours = CheckStagingIsOurs(planned->target); !ours.ok()) {
    Warn(absl::StrCat(std::string(ours.message()), "; it is removed, and the job begins anew"));
    work_ = JobWork{};
  }
  const absl::StatusOr<bool> resume = TakeUpWork(*identity);
  if (!resume.ok()) return resume.status();
  SinkOptions options;
  options.resume = *resume;
  options.check_copied = planned->check_copied;
  options.stop = stop_.get_token();
  options.fault_point = context_.fault_point;
  absl::StatusOr<std::unique_ptr<Publisher>> publisher = context_.make_publisher(planned->target);
  if (!publisher.ok()) return publisher.status();
  options.publisher = *std::move(publisher);
  auto sink =
      CheckpointSink::Open(planned->target, planned->checkpoint, planned->plan, std::move(options));
  if (!sink.ok()) return sink.status();
  Reach(context_.fault_point, "open.staged");

  const std::lock_guard lock(mutex_);
  planned_ = std::move(planned);
  backend_ = *std::move(backend);
  sink_ = *std::move(sink);
  StartStreamLocked();
  return absl::OkStatus();
}

void JobRun::StartStreamLocked() {
  const format::CompressionPlan& plan = planned_->plan;
  const int64_t to_come = context_.weights_to_come > 0 ? context_.weights_to_come : plan.weights;
  for (size_t id = 0; id < plan.tensors.size(); ++id) {
    const format::PlannedTensor& tensor = plan.tensors[id];
    const auto bytes = static_cast<int64_t>(tensor.source->byte_size());
    if (tensor.compressed) {
      tensors_.push_back(std::make_unique<TensorRun>(
          static_cast<int64_t>(id), tensor, *planned_->checkpoint.files[tensor.file].file,
          plan.options, context_.shard_weights, to_come));
      tensors_.back()->Restore(*work_);
      pieces_left_ += tensors_.back()->shards();
      bytes_to_hand_out_ += bytes;
      measures_left_ += tensors_.back()->measures();
      unmeasured_ += tensors_.back()->measures() > 0;
    } else if (bytes > 0) {
      copies_.push_back({static_cast<int64_t>(id), &tensor, {bytes, kCopyPieceBytes}});
    }
  }
  progress_.weights_total = plan.weights;
  progress_.shards_total = pieces_left_;
  progress_.tensors_total = static_cast<int>(tensors_.size());
  for (const Copy& copy : copies_) pieces_left_ += copy.pieces.count();
  pieces_total_ = pieces_left_;
  measures_total_ = measures_left_;
  StartPhaseLocked(unmeasured_ > 0 ? Phase::kMeasure : Phase::kStream);
}

}  // namespace seedlm::server
