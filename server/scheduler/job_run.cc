#include "server/scheduler/job_run.h"

#include <spdlog/logger.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/fault.h"
#include "server/log/log_scope.h"
#include "server/scheduler/policy.h"
#include "server/storage/s3/wait_scope.h"

namespace seedlm::server {

namespace {

// What a shard counts as at least where they are handed out together: something is kept of each.
constexpr int64_t kLeastShardBytes = int64_t{16} << 10;

}  // namespace

JobRun::JobRun(JobRecord job, const RunContext& context)
    : job_(std::move(job)),
      context_(context),
      reservation_(context.locator->ReserveResult(job_)),
      log_(
          {context.store, [this] { return sink_->Sync(); }, context.fault_point, stop_.get_token()},
          job_.name, context.commit_interval) {
  progress_.weights_total = job_.estimate.weights;
}

// ---- Handing out.

bool JobRun::waiting() const {
  const std::lock_guard lock(mutex_);
  return phase_ == Phase::kQueued;
}

bool JobRun::HasWork(const Room& room) const {
  const std::lock_guard lock(mutex_);
  if (job_.request.destination.at_s3()) {
    if (phase_ == Phase::kQueued && !room.to_open) return false;
    if (phase_ == Phase::kCommit && !room.to_publish) return false;
  }
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

std::optional<JobRun::Piece> JobRun::Take() {
  const std::lock_guard lock(mutex_);
  if (!HasWorkLocked()) return std::nullopt;
  ++in_flight_;
  return TakeLocked();
}

JobRun::Piece JobRun::TakeLocked() {
  const bool at_s3 = job_.request.destination.at_s3();
  switch (phase_) {
    case Phase::kQueued:
      phase_ = Phase::kOpen;
      return {Guarded([this] { return Open(); }), at_s3, true};
    case Phase::kMeasure:
      return {TakeMeasureLocked()};
    case Phase::kStream:
      return {TakeStreamLocked()};
    default:
      return {Guarded([this] { return Commit(); }), at_s3};
  }
}

Work JobRun::TakeMeasureLocked() {
  TensorRun& tensor = *tensors_[cursor_];
  const TensorRows rows = tensor.TakeMeasure();
  while (cursor_ < tensors_.size() && !tensors_[cursor_]->HasMeasure()) ++cursor_;
  return Guarded([this, &tensor, rows] { return Measure(tensor, rows); });
}

Work JobRun::TakeStreamLocked() {
  if (cursor_ < tensors_.size()) {
    if (!stream_begin_.has_value()) stream_begin_ = std::chrono::steady_clock::now();
    int64_t bytes_left = StreamPieceBytes(
        bytes_to_hand_out_, context_.workers,
        context_.shards_together * context_.shard_weights * static_cast<int64_t>(sizeof(float)));
    int64_t blocks_left = backend_->BlocksTogether(job_.request.spec.profile);
    std::vector<TakenShard> taken;
    while (cursor_ < tensors_.size()) {
      TensorRun& tensor = *tensors_[cursor_];
      const int64_t rows = tensor.next_shard_rows();
      const int64_t bytes = rows * tensor.source_row_bytes();
      bytes_left -= std::max(rows * tensor.padded_row_bytes(), kLeastShardBytes);
      blocks_left -= rows * tensor.spec().profile.blocks_per_row(tensor.columns());
      if (!taken.empty() && (bytes_left < 0 || blocks_left < 0)) break;
      bytes_to_hand_out_ -= bytes;
      taken.push_back({&tensor, tensor.TakeShard()});
      while (cursor_ < tensors_.size() && !tensors_[cursor_]->HasShard()) ++cursor_;
    }
    return Guarded([this, taken = std::move(taken)] { return Stream(taken); });
  }
  Copy& copy = copies_[copy_cursor_];
  const int64_t piece = copy.next++;
  if (copy.next == copy.pieces.count()) ++copy_cursor_;
  return Guarded([this, &copy, piece] { return CopyPiece(copy, piece); });
}

Work JobRun::Guarded(std::function<absl::Status()> piece) {
  return [this, piece = std::move(piece)] {
    const LogScope scope({{"job", name()}, {"owner", job_.request.owner}});
    const s3::WaitScope waits([this](const std::string& cause) { WaitsForS3(cause); });
    absl::Status status;
    try {
      // Handed over, and stopped before its turn came: how the job ends is decided.
      if (!stop_.stop_requested()) status = piece();
    } catch (const std::bad_alloc&) {
      status = absl::ResourceExhaustedError(
          absl::StrCat(name(), ": out of memory; lower --memory or --threads, or free some"));
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

absl::Status JobRun::OfTensor(absl::Status status, const format::TensorInfo& tensor,
                              size_t file) const {
  status = format::About(std::move(status), "tensor", tensor.name);
  return format::About(std::move(status), "file", planned_->checkpoint.files[file].relative_path);
}

absl::Status JobRun::Measure(TensorRun& tensor, const TensorRows& rows) {
  const auto part = std::make_unique<codec::NormHistogram>();
  const codec::Profile profile = job_.request.spec.profile;
  if (absl::Status status = MeasureRows(profile, rows, *part); !status.ok()) {
    return OfTensor(std::move(status), tensor.info(), tensor.output());
  }
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
  const absl::StatusOr<codec::LevelTable> levels = ChooseLevels(tensor, *whole);
  if (!levels.ok()) return levels.status();
  log_.Add(LevelsRecord{tensor.id(), *levels});
  if (absl::Status status = log_.Commit(); !status.ok()) return status;

  const std::lock_guard lock(mutex_);
  tensor.SetLevels(*levels);
  if (--unmeasured_ == 0) StartPhaseLocked(Phase::kStream);
  return absl::OkStatus();
}

void JobRun::StartPhaseLocked(Phase phase) {
  phase_ = phase;
  cursor_ = 0;
  if (phase == Phase::kMeasure) {
    while (!tensors_[cursor_]->HasMeasure()) ++cursor_;
  }
  context_.events->SetProgress(name(), ProgressLocked());
}

// What a kill may have torn, or somebody has changed, is done again.
bool JobRun::IsIntact(const std::string& tensor, const PieceRecord& recorded,
                      const absl::StatusOr<uint32_t>& crc32c) {
  if (crc32c.ok() && *crc32c == recorded.crc32c) {
    const std::lock_guard lock(mutex_);
    ++pieces_kept_;
    return true;
  }
  context_.log->warn("tensor {} piece {}: what was staged is damaged, it is done again: {}", tensor,
                     recorded.piece + 1,
                     crc32c.ok() ? "wrong CRC-32C" : crc32c.status().ToString());
  return false;
}

std::string JobRun::NumberOf(const TakenShard& taken) {
  return absl::StrCat(taken.shard.index + 1, "/", taken.tensor->shards());
}

bool JobRun::IsKept(const TakenShard& taken) {
  const auto& [tensor, shard] = taken;
  return shard.recorded.has_value() &&
         IsIntact(tensor->info().name, *shard.recorded,
                  SumRows(tensor->spec().profile, shard.rows, {sink_.get(), tensor->output()}));
}

absl::Status JobRun::Stream(const std::vector<TakenShard>& shards) {
  std::vector<TakenShard> missing;
  for (const TakenShard& taken : shards) {
    if (stop_.stop_requested()) return absl::OkStatus();  // how the job ends is decided
    if (!IsKept(taken)) {
      missing.push_back(taken);
      continue;
    }
    if (absl::Status status = AddShard(taken, *taken.shard.recorded, true); !status.ok()) {
      return status;
    }
  }
  return missing.empty() ? absl::OkStatus() : Encode(missing);
}

// What was encoded is recorded, also where others failed; what was lost is queued again.
absl::Status JobRun::Encode(const std::vector<TakenShard>& shards) {
  const std::shared_ptr<const backend::Backend> backend = Backend();
  const LogScope scope({{"backend", backend->name()}});
  std::vector<ShardWork> works;
  for (const auto& [tensor, shard] : shards) {
    works.push_back({&tensor->spec(), shard.rows, {sink_.get(), tensor->output()}});
  }
  const auto sums = EncodeShards(*backend, works, stop_.get_token());
  RecordRate(shards, sums);
  std::vector<PieceRecord> pieces;
  std::vector<const TakenShard*> encoded, lost;
  absl::Status status, why_lost;
  for (size_t i = 0; i < shards.size(); ++i) {
    const TensorRun& tensor = *shards[i].tensor;
    if (sums[i].ok()) {
      pieces.push_back(RecordOf(shards[i], *sums[i]));
      encoded.push_back(&shards[i]);
      continue;
    }
    absl::Status failed = OfTensor(sums[i].status(), tensor.info(), tensor.output());
    if (absl::IsUnavailable(failed)) {
      lost.push_back(&shards[i]);
      why_lost.Update(std::move(failed));
    } else {
      status.Update(std::move(failed));
    }
  }
  log_.Add(pieces);
  status.Update(log_.Commit());
  if (status.ok() && !lost.empty()) status = TryAgain(backend, lost, std::move(why_lost));
  for (size_t i = 0; i < pieces.size() && status.ok(); ++i) {
    status = AddShard(*encoded[i], pieces[i], false);
  }
  return status;
}

// Once for the shards of a call: they share its time.
void JobRun::RecordRate(const std::vector<TakenShard>& shards,
                        const std::vector<absl::StatusOr<ShardSums>>& sums) {
  std::string_view backend;  // those of another, which took over meanwhile, are left out
  int64_t weights = 0;
  double seconds = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    if (!sums[i].ok()) continue;
    if (backend.empty()) backend = sums[i]->backend;
    if (sums[i]->backend != backend) continue;
    weights += shards[i].shard.rows.row_count * shards[i].tensor->columns();
    seconds += sums[i]->seconds;
  }
  if (backend.empty()) return;
  const JobSpec& spec = job_.request.spec;
  context_.rates->Record(backend, spec.profile, spec.fit, weights, seconds);
}

PieceRecord JobRun::RecordOf(const TakenShard& taken, const ShardSums& sums) {
  Reach(context_.fault_point, "shard.encoded");
  const LogScope scope({{"tensor", taken.tensor->info().name},
                        {"shard", NumberOf(taken)},
                        {"backend", sums.backend},
                        {"device", sums.device}});
  CountShard(taken, sums);
  context_.log->debug("encoded in {:.3f} s; {}", sums.seconds, sums.search);
  if (!sums.warning.empty()) Warn(sums.warning);
  return {taken.tensor->id(),   taken.shard.index, sums.crc32c,  sums.squared_error,
          sums.squared_weights, sums.max_error,    sums.seconds, sums.backend};
}

absl::Status JobRun::TryAgain(const std::shared_ptr<const backend::Backend>& backend,
                              const std::vector<const TakenShard*>& lost, absl::Status why) {
  const TakenShard& first = *lost.front();
  const LogScope scope({{"tensor", first.tensor->info().name}, {"shard", NumberOf(first)}});
  std::string what = "shard " + NumberOf(first);
  if (lost.size() > 1) absl::StrAppend(&what, " and ", lost.size() - 1, " others");
  int attempt = 0;
  for (const TakenShard* taken : lost) attempt = std::max(attempt, taken->shard.attempt);
  absl::Status status = CheckTryAgain(backend, *first.tensor, what, attempt, std::move(why));
  if (!status.ok()) return status;
  for (const TakenShard* taken : lost) GiveBack(*taken);
  return absl::OkStatus();
}

absl::Status JobRun::AddShard(const TakenShard& taken, const PieceRecord& piece, bool kept) {
  TensorRun& tensor = *taken.tensor;
  const int64_t weights = taken.shard.rows.row_count * tensor.columns();
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    last = tensor.AddShard(piece);
    progress_.weights_done += weights;
    if (kept) weights_kept_ += weights;
    progress_.shards_done += 1;
    progress_.current_tensor = tensor.info().name;
  }
  if (absl::Status status = last ? FinishTensor(tensor) : absl::OkStatus(); !status.ok()) {
    return status;
  }
  const std::lock_guard lock(mutex_);
  if (last) progress_.tensors_done += 1;
  PieceDoneLocked();
  return absl::OkStatus();
}

void JobRun::CountShard(const TakenShard& taken, const ShardSums& sums) const {
  const TensorRun& tensor = *taken.tensor;
  const std::string_view backend = sums.backend;
  MetricSink& metrics = *context_.metrics;
  const auto rows = static_cast<double>(taken.shard.rows.row_count);
  metrics.Add(Metric::kWeights, {backend, sums.device, job_.request.spec.profile.name},
              rows * static_cast<double>(tensor.columns()));
  metrics.Observe(Metric::kShardSeconds, {backend, sums.device}, sums.seconds);
  metrics.Add(Metric::kDeviceBusySeconds, {backend, sums.device}, sums.seconds);
  metrics.Add(Metric::kSourceReadBytes, {"encode"},
              rows * static_cast<double>(tensor.source_row_bytes()));
  metrics.Add(Metric::kOutputWrittenBytes, {"encode"},
              rows * static_cast<double>(tensor.packed_row_bytes()));
}

absl::Status JobRun::FinishTensor(TensorRun& tensor) {
  const TensorOutput out{sink_.get(), tensor.output()};
  absl::Status status = WriteScales(tensor.spec(), tensor.info(), out);
  if (!status.ok()) return status;
  if (!tensor.was_finished()) {
    absl::StatusOr<PlaneSummary> planes =
        SumPlanes(tensor.spec().profile, tensor.info(), out, stop_.get_token());
    if (!planes.ok()) return planes.status();
    const std::lock_guard lock(mutex_);
    log_.Add(FinishedTensor{tensor.id(), tensor.Result(backend_->name(), *std::move(planes))});
  }
  status = log_.Commit();
  for (const std::string& plane : PlanesOf(tensor.spec().profile, tensor.info())) {
    if (status.ok()) status = sink_->TensorIsFinal(tensor.output(), plane);
  }
  return status;
}

absl::Status JobRun::CopyPiece(Copy& copy, int64_t piece) {
  const format::PlannedTensor& tensor = *copy.tensor;
  const TensorOutput out{sink_.get(), tensor.file};
  const auto offset = static_cast<uint64_t>(copy.pieces.begin(piece));
  const auto length = static_cast<uint64_t>(copy.pieces.length(piece));
  const auto recorded = work_->pieces.find({copy.id, piece});
  const bool kept = recorded != work_->pieces.end() &&
                    IsIntact(tensor.source->name, recorded->second,
                             SumBytes(tensor.source->name, offset, length, out));
  absl::Status status;
  if (!kept) {
    const auto begin = std::chrono::steady_clock::now();
    const absl::StatusOr<uint32_t> crc32c = CopyBytes(*planned_->checkpoint.files[tensor.file].file,
                                                      *tensor.source, offset, length, out);
    if (!crc32c.ok()) return OfTensor(crc32c.status(), *tensor.source, tensor.file);
    context_.metrics->Add(Metric::kSourceReadBytes, {"copy"}, static_cast<double>(length));
    context_.metrics->Add(Metric::kOutputWrittenBytes, {"copy"}, static_cast<double>(length));
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    log_.Add(PieceRecord{
        .tensor = copy.id, .piece = piece, .crc32c = *crc32c, .seconds = taken.count()});
    status = log_.Commit();
  }
  if (!status.ok()) return status;
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    last = ++copy.done == copy.pieces.count();
  }
  if (last) status = sink_->TensorIsFinal(tensor.file, tensor.source->name);
  if (!status.ok()) return status;
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
  if (absl::Status status = log_.CommitAll(); !status.ok()) return status;
  Publication publication;
  CommitHooks hooks;
  hooks.progress = [this](int64_t done, int64_t total) { SetPublished(done, total); };
  hooks.before_publish = [&](const std::vector<StoredFile>& files, const std::string& intent) {
    publication.intent = intent;
    for (const StoredFile& file : files) {
      publication.files.push_back({file.path, file.size, file.sha256});
    }
    return context_.store->RecordPublication(name(), publication);
  };
  absl::Status status = sink_->Commit(stop_.get_token(), hooks).status();
  if (!status.ok()) return status;
  {
    const std::lock_guard lock(mutex_);
    output_files_ = std::move(publication.files);
    succeeded_ = true;
    phase_ = Phase::kDone;
  }
  if (sink_->publish_warning().ok()) return absl::OkStatus();
  const std::string warning = absl::StrCat(
      "the output is published, but may not outlive a power "
      "cut: ",
      sink_->publish_warning().message());
  Warn(warning);
  return absl::OkStatus();
}

void JobRun::Warn(const std::string& warning) const {
  context_.log->warn("{}", warning);
  (void)context_.store->AppendEvent(name(), Warning{warning});  // it is in the log
}

void JobRun::WaitsForS3(const std::string& cause) {
  if (!s3_waits_.Happened().has_value()) return;
  const LogScope scope(
      {{"job", name()}, {"owner", job_.request.owner}});  // perhaps a part's thread
  Warn(absl::StrCat("waits for the S3 server, which is asked again for a while: ", cause));
  context_.events->Notify(name());
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
