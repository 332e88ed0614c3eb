#include "server/scheduler/job_run.h"

#include <spdlog/logger.h>

#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/backend/level_choice.h"
#include "server/errors/reason.h"
#include "server/log/log_scope.h"

namespace seedlm::server {
namespace {

constexpr int64_t kCopyBytes = int64_t{16} << 20;

std::string IdOf(const std::string& job_name) { return job_name.substr(job_name.find('/') + 1); }

}  // namespace

JobRun::JobRun(JobRecord job, const RunContext& context)
    : job_(std::move(job)),
      context_(context),
      reservation_(context.locator->ReserveResult(job_.request, IdOf(job_.name))) {
  progress_.weights_total = job_.estimate.weights;
}

// ---- Handing out.

bool JobRun::waiting() const {
  const std::lock_guard lock(mutex_);
  return phase_ == Phase::kQueued;
}

bool JobRun::HasWork() const {
  const std::lock_guard lock(mutex_);
  return HasWorkLocked();
}

bool JobRun::HasWorkLocked() const {
  if (stop_.stop_requested()) return false;
  switch (phase_) {
    case Phase::kQueued:
      return true;
    case Phase::kMeasure:
      return cursor_ < tensors_.size();
    case Phase::kStream:
      return cursor_ < tensors_.size() || copy_cursor_ < copies_.size();
    case Phase::kCommit:
      return in_flight_ == 0;
    default:
      return false;
  }
}

std::optional<Work> JobRun::Take() {
  const std::lock_guard lock(mutex_);
  if (!HasWorkLocked()) return std::nullopt;
  ++in_flight_;
  switch (phase_) {
    case Phase::kQueued:
      phase_ = Phase::kOpen;
      return Guarded([this] { return Open(); });
    case Phase::kMeasure:
      return TakeMeasureLocked();
    case Phase::kStream:
      return TakeStreamLocked();
    default:
      return Guarded([this] { return Commit(); });
  }
}

Work JobRun::TakeMeasureLocked() {
  TensorRun& tensor = *tensors_[cursor_];
  const TensorRows rows = tensor.TakeMeasure();
  if (!tensor.HasMeasure()) ++cursor_;
  return Guarded([this, &tensor, rows] { return Measure(tensor, rows); });
}

Work JobRun::TakeStreamLocked() {
  if (cursor_ < tensors_.size()) {
    if (!stream_begin_.has_value()) stream_begin_ = std::chrono::steady_clock::now();
    TensorRun& tensor = *tensors_[cursor_];
    const TensorRun::Shard shard = tensor.TakeShard();
    if (!tensor.HasShard()) ++cursor_;
    return Guarded([this, &tensor, shard] { return Encode(tensor, shard); });
  }
  Copy& copy = copies_[copy_cursor_];
  const int64_t piece = copy.next++;
  if (copy.next == copy.pieces.count()) ++copy_cursor_;
  return Guarded([this, tensor = copy.tensor, offset = copy.pieces.begin(piece),
                  length = copy.pieces.length(piece)] {
    return CopyPiece(*tensor, static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
  });
}

Work JobRun::Guarded(std::function<absl::Status()> piece) {
  return [this, piece = std::move(piece)] {
    const LogScope scope({{"job", name()}});
    absl::Status status;
    try {
      status = piece();
    } catch (const std::bad_alloc&) {
      status = absl::ResourceExhaustedError(
          absl::StrCat(name(), ": out of memory; run fewer threads or free some"));
    } catch (const std::exception& e) {
      status = absl::InternalError(absl::StrCat(name(), ": ", e.what()));
    }
    {
      const std::lock_guard lock(mutex_);
      --in_flight_;
      if (!status.ok() && failure_.ok() && stop_reason_ == StopReason::kNone) {
        failure_ = std::move(status);
        stop_.request_stop();
      }
    }
    context_.events->Notify(name());
  };
}

// ---- The pieces.

absl::Status JobRun::Open() {
  const absl::StatusOr<JobRecord> running =
      context_.store->Update(name(), {JobState::kRunning, progress_, {}, {}});
  if (!running.ok()) return running.status();
  context_.events->Notify(name());
  context_.log->info("attempt {} started", running->attempt);

  absl::StatusOr<std::unique_ptr<const PlannedJob>> planned =
      context_.locator->Plan(job_.request, IdOf(name()));
  if (!planned.ok()) return planned.status();
  auto backend = context_.open_backend(job_.request.spec.backend);
  if (!backend.ok()) return backend.status();
  auto sink = CheckpointSink::Open((*planned)->target, (*planned)->checkpoint, (*planned)->plan);
  if (!sink.ok()) return sink.status();

  const std::lock_guard lock(mutex_);
  planned_ = *std::move(planned);
  backend_ = *std::move(backend);
  sink_ = *std::move(sink);
  phase_ = Phase::kMeasure;
  StartStreamLocked();
  return absl::OkStatus();
}

void JobRun::StartStreamLocked() {
  const format::CompressionPlan& plan = planned_->plan;
  for (const format::PlannedTensor& tensor : plan.tensors) {
    if (tensor.compressed) {
      tensors_.push_back(
          std::make_unique<TensorRun>(tensor, *planned_->checkpoint.files[tensor.file].file,
                                      plan.options, context_.shard_weights, plan.weights));
      pieces_left_ += tensors_.back()->shards();
      measures_left_ += tensors_.back()->measures();
    } else if (tensor.source->byte_size() > 0) {
      copies_.push_back({&tensor, {static_cast<int64_t>(tensor.source->byte_size()), kCopyBytes}});
    }
  }
  progress_.weights_total = plan.weights;
  progress_.shards_total = pieces_left_;
  progress_.tensors_total = static_cast<int>(tensors_.size());
  unmeasured_ = tensors_.size();
  for (const Copy& copy : copies_) pieces_left_ += copy.pieces.count();
  pieces_total_ = pieces_left_;
  measures_total_ = measures_left_;
  context_.events->SetProgress(name(), ProgressLocked());
}

absl::Status JobRun::Measure(TensorRun& tensor, const TensorRows& rows) {
  const auto part = std::make_unique<codec::NormHistogram>();
  const codec::Profile profile = job_.request.spec.profile;
  if (absl::Status status = MeasureRows(profile, rows, *part); !status.ok()) return status;
  context_.metrics->Add(Metric::kSourceReadBytes, {"measure"},
                        static_cast<double>(rows.row_count * tensor.source_row_bytes()));
  std::unique_ptr<codec::NormHistogram> whole;
  {
    const std::lock_guard lock(mutex_);
    if (tensor.AddMeasure(*part)) whole = tensor.TakeHistogram();
    --measures_left_;
    context_.events->SetProgress(name(), ProgressLocked());
  }
  if (whole == nullptr) return absl::OkStatus();
  const absl::StatusOr<codec::LevelTable> levels =
      backend::ChooseLevels(*backend_, profile, job_.request.spec.fit, job_.request.spec.scale,
                            *whole, stop_.get_token(), tensor.spec().blocks_to_come);
  if (!levels.ok()) return levels.status();

  const std::lock_guard lock(mutex_);
  tensor.SetLevels(*levels);
  if (--unmeasured_ == 0) {
    phase_ = Phase::kStream;
    cursor_ = 0;
    context_.events->SetProgress(name(), ProgressLocked());
  }
  return absl::OkStatus();
}

absl::Status JobRun::Encode(TensorRun& tensor, const TensorRun::Shard& shard) {
  const std::string number = absl::StrCat(shard.index + 1, "/", tensor.shards());
  const LogScope scope(
      {{"tensor", tensor.info().name}, {"shard", number}, {"backend", backend_->name()}});
  const absl::StatusOr<ShardSums> sums = EncodeRows(
      *backend_, tensor.spec(), shard.rows, {sink_.get(), tensor.output()}, stop_.get_token());
  if (!sums.ok()) return sums.status();
  const int64_t weights = shard.rows.row_count * tensor.columns();
  const JobSpec& spec = job_.request.spec;
  context_.rates->Record(backend_->name(), spec.profile, spec.fit, weights, sums->seconds);
  CountShard(tensor, shard, *sums);
  context_.log->debug("encoded in {:.3f} s; {}", sums->seconds, sums->search);
  if (!sums->warning.empty()) context_.log->warn("{}", sums->warning);
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    last = tensor.AddShard(shard.index, *sums);
    progress_.weights_done += weights;
    progress_.shards_done += 1;
    progress_.current_tensor = tensor.info().name;
    if (!last) PieceDoneLocked();
  }
  return last ? FinishTensor(tensor) : absl::OkStatus();
}

void JobRun::CountShard(const TensorRun& tensor, const TensorRun::Shard& shard,
                        const ShardSums& sums) const {
  const std::string_view backend = backend_->name();
  MetricSink& metrics = *context_.metrics;
  const auto rows = static_cast<double>(shard.rows.row_count);
  metrics.Add(Metric::kWeights, {backend, job_.request.spec.profile.name},
              rows * static_cast<double>(tensor.columns()));
  metrics.Observe(Metric::kShardSeconds, {backend}, sums.seconds);
  metrics.Add(Metric::kDeviceBusySeconds, {backend}, sums.seconds);
  metrics.Add(Metric::kSourceReadBytes, {"encode"},
              rows * static_cast<double>(tensor.source_row_bytes()));
  metrics.Add(Metric::kOutputWrittenBytes, {"encode"},
              rows * static_cast<double>(tensor.packed_row_bytes()));
}

absl::Status JobRun::FinishTensor(TensorRun& tensor) {
  absl::StatusOr<std::string> sha256 = server::FinishTensor(
      tensor.spec(), tensor.info(), {sink_.get(), tensor.output()}, stop_.get_token());
  if (!sha256.ok()) return sha256.status();
  TensorResult result;
  {
    const std::lock_guard lock(mutex_);
    result = tensor.Result(backend_->name(), *std::move(sha256));
  }
  const absl::StatusOr<int64_t> sequence = context_.store->AppendEvent(name(), result);
  if (!sequence.ok()) return sequence.status();
  const std::lock_guard lock(mutex_);
  progress_.tensors_done += 1;
  PieceDoneLocked();
  return absl::OkStatus();
}

absl::Status JobRun::CopyPiece(const format::PlannedTensor& tensor, uint64_t offset,
                               uint64_t length) {
  absl::Status status = CopyBytes(*planned_->checkpoint.files[tensor.file].file, *tensor.source,
                                  offset, length, {sink_.get(), tensor.file});
  if (!status.ok()) return status;
  context_.metrics->Add(Metric::kSourceReadBytes, {"copy"}, static_cast<double>(length));
  context_.metrics->Add(Metric::kOutputWrittenBytes, {"copy"}, static_cast<double>(length));
  const std::lock_guard lock(mutex_);
  PieceDoneLocked();
  return absl::OkStatus();
}

void JobRun::PieceDoneLocked() {
  if (--pieces_left_ == 0) {
    phase_ = Phase::kCommit;
    stream_end_ = std::chrono::steady_clock::now();
  }
  context_.events->SetProgress(name(), ProgressLocked());
}

absl::Status JobRun::Commit() {
  absl::StatusOr<std::vector<StoredFile>> files = sink_->Commit(
      stop_.get_token(), [this](int64_t done, int64_t total) { SetPublished(done, total); });
  if (!files.ok()) return files.status();
  {
    const std::lock_guard lock(mutex_);
    for (StoredFile& file : *files) {
      output_files_.push_back({std::move(file.path), file.size, std::move(file.sha256)});
    }
    succeeded_ = true;
    phase_ = Phase::kDone;
  }
  if (sink_->publish_warning().ok()) return absl::OkStatus();
  const std::string warning = absl::StrCat(
      "the output is published, but may not outlive a power "
      "cut: ",
      sink_->publish_warning().message());
  context_.log->warn("{}", warning);
  (void)context_.store->AppendEvent(name(), Warning{warning});  // it is in the log
  return absl::OkStatus();
}

void JobRun::SetPublished(int64_t done, int64_t total) {
  {
    const std::lock_guard lock(mutex_);
    published_ = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1;
    context_.events->SetProgress(name(), ProgressLocked());
  }
  context_.events->Notify(name());
}

}  // namespace seedlm::server
