#include "server/rpc/job_conversion.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/admission/limits.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"
#include "server/rpc/codec_conversion.h"
#include "server/rpc/message_parts.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::server {
namespace {

// What a job's lists may take of a message; the rest (patterns, labels, URIs) has its own limits in
// admission and stays far below 1 MiB.
constexpr size_t kSkippedBytes = size_t{1} << 20;
constexpr size_t kOutputFilesBytes = size_t{2} << 20;

v1::Estimate ToProto(const Estimate& estimate) {
  v1::Estimate proto;
  proto.set_weights(estimate.weights);
  proto.set_input_bytes(estimate.input_bytes);
  proto.set_output_bytes(estimate.output_bytes);
  proto.set_scratch_bytes(estimate.scratch_bytes);
  proto.set_seconds(estimate.seconds);
  proto.set_bits_per_weight(estimate.bits_per_weight);
  proto.set_copied_bytes(estimate.copied_bytes);
  proto.set_copied_files(estimate.copied_files);
  proto.set_memory_bytes(estimate.memory_bytes);
  proto.set_index_bytes(estimate.index_bytes);
  const auto count = static_cast<int64_t>(estimate.skipped.size());
  proto.set_skipped_count(std::max(count, estimate.skipped_count));
  size_t room = kSkippedBytes;
  for (const SkippedTensor& skipped : estimate.skipped) {
    v1::SkippedTensor tensor;
    tensor.set_name(ValidUtf8(skipped.name, kMaxNameBytes));
    tensor.set_reason(ValidUtf8(skipped.reason, kMaxNameBytes));
    if (!TakeRoom(tensor.ByteSizeLong(), room)) break;
    *proto.add_skipped() = std::move(tensor);
  }
  return proto;
}

v1::TensorResult ToProto(const TensorResult& result) {
  v1::TensorResult proto;
  proto.set_name(ValidUtf8(result.name, kMaxNameBytes));
  proto.set_rows(result.rows);
  proto.set_columns(result.columns);
  proto.set_relative_error(result.relative_error);
  proto.set_max_error(result.max_error);
  proto.set_bits_per_weight(result.bits_per_weight);
  proto.set_seconds(result.seconds);
  proto.set_backend(result.backend);
  proto.set_sha256(result.sha256);
  proto.set_squared_error(result.squared_error);
  proto.set_squared_weights(result.squared_weights);
  proto.set_source_bytes(result.source_bytes);
  proto.set_packed_bytes(result.packed_bytes);
  for (const int64_t blocks : result.level_blocks) proto.add_level_blocks(blocks);
  return proto;
}

google::rpc::Status ToProto(const JobError& error) {
  absl::Status status = WithDetails(absl::Status(error.code, error.message), error.details);
  if (!error.reason.empty()) status = WithReason(std::move(status), error.reason);
  return ToProtoStatus(status);
}

void SetRequest(const JobRequest& request, v1::Job& proto) {
  if (!request.source.artifact.empty()) {
    proto.mutable_source()->set_artifact(request.source.artifact);
  } else {
    proto.mutable_source()->set_uri(request.source.uri);
  }
  v1::Destination& destination = *proto.mutable_destination();
  if (request.destination.managed) {
    destination.set_managed(true);
  } else {
    destination.set_uri(request.destination.uri);
  }
  destination.set_overwrite(request.destination.overwrite);
  *proto.mutable_spec() = server::ToProto(request.spec);
  proto.set_priority(request.priority);
  proto.set_owner(request.owner);
  proto.mutable_labels()->insert(request.labels.begin(), request.labels.end());
}

void AddOutputFiles(const std::vector<OutputFile>& files, v1::Job& proto) {
  proto.set_output_file_count(static_cast<int64_t>(files.size()));
  size_t room = kOutputFilesBytes;
  for (const OutputFile& file : files) {
    v1::OutputFile output;
    output.set_path(ValidUtf8(file.path));
    output.set_size(file.size);
    output.set_sha256(file.sha256);
    if (!TakeRoom(output.ByteSizeLong(), room)) break;
    *proto.add_output_files() = std::move(output);
  }
}

v1::JobPhase ToProto(JobPhase phase) {
  switch (phase) {
    case JobPhase::kNone:
      return v1::JOB_PHASE_UNSPECIFIED;
    case JobPhase::kMeasuring:
      return v1::JOB_PHASE_MEASURING;
    case JobPhase::kEncoding:
      return v1::JOB_PHASE_ENCODING;
    case JobPhase::kPublishing:
      return v1::JOB_PHASE_PUBLISHING;
    case JobPhase::kCancelling:
      return v1::JOB_PHASE_CANCELLING;
  }
  return v1::JOB_PHASE_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<JobRequest> FromProto(const v1::Job& job) {
  auto spec = FromProto(job.spec());
  if (!spec.ok()) return spec.status();
  JobRequest request;
  request.source.artifact = job.source().artifact();
  request.source.uri = job.source().uri();
  request.destination.managed = job.destination().managed();
  request.destination.uri = job.destination().uri();
  request.destination.overwrite = job.destination().overwrite();
  request.spec = *std::move(spec);
  request.priority = job.priority();
  request.labels.insert(job.labels().begin(), job.labels().end());
  if (absl::Status status = CheckJobRequest(request); !status.ok()) return status;
  return request;
}

absl::StatusOr<JobQuery> FromProto(const v1::ListJobsRequest& request) {
  JobQuery query;
  query.page_size = request.page_size();
  query.page_token = request.page_token();
  query.labels.insert(request.labels().begin(), request.labels().end());
  if (absl::Status status = CheckLabels(query.labels, "labels"); !status.ok()) return status;
  if (request.state() == v1::JOB_STATE_UNSPECIFIED) return query;
  for (const JobState state : {JobState::kQueued, JobState::kRunning, JobState::kSucceeded,
                               JobState::kFailed, JobState::kCancelled}) {
    if (ToProto(state) == request.state()) query.state = state;
  }
  if (query.state.has_value()) return query;
  return InvalidField("state", absl::StrCat("unknown value ", request.state()));
}

v1::JobState ToProto(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return v1::JOB_STATE_QUEUED;
    case JobState::kRunning:
      return v1::JOB_STATE_RUNNING;
    case JobState::kSucceeded:
      return v1::JOB_STATE_SUCCEEDED;
    case JobState::kFailed:
      return v1::JOB_STATE_FAILED;
    case JobState::kCancelled:
      return v1::JOB_STATE_CANCELLED;
  }
  return v1::JOB_STATE_UNSPECIFIED;
}

v1::Progress ToProto(const Progress& progress) {
  v1::Progress proto;
  proto.set_weights_done(progress.weights_done);
  proto.set_weights_total(progress.weights_total);
  proto.set_shards_done(progress.shards_done);
  proto.set_shards_total(progress.shards_total);
  proto.set_bytes_written(progress.bytes_written);
  proto.set_weights_per_second(progress.weights_per_second);
  proto.set_eta_seconds(progress.eta_seconds);
  proto.set_current_tensor(ValidUtf8(progress.current_tensor, kMaxNameBytes));
  proto.set_tensors_done(progress.tensors_done);
  proto.set_tensors_total(progress.tensors_total);
  proto.set_phase(ToProto(progress.phase));
  proto.set_phase_fraction(progress.phase_fraction);
  proto.set_weights_kept(progress.weights_kept);
  return proto;
}

v1::Job ToProto(const JobRecord& job) {
  v1::Job proto;
  proto.set_name(job.name);
  SetRequest(job.request, proto);
  *proto.mutable_estimate() = ToProto(job.estimate);
  if (job.name.empty()) return proto;  // validate_only: no job, so no state
  proto.set_state(ToProto(job.state));
  proto.set_attempt(job.attempt);
  SetTime(job.create_time_ns, proto.mutable_create_time());
  if (job.start_time_ns != 0) SetTime(job.start_time_ns, proto.mutable_start_time());
  if (job.end_time_ns != 0) SetTime(job.end_time_ns, proto.mutable_end_time());
  *proto.mutable_progress() = ToProto(job.progress);
  if (job.error.code != absl::StatusCode::kOk) *proto.mutable_error() = ToProto(job.error);
  proto.set_output_artifact(job.output_artifact);
  AddOutputFiles(job.output_files, proto);
  proto.set_etag(job.etag);
  return proto;
}

v1::JobEvent ToProto(const JobEvent& event) {
  v1::JobEvent proto;
  proto.set_sequence(event.sequence);
  SetTime(event.time_ns, proto.mutable_time());
  if (const auto* change = std::get_if<StateChange>(&event.body)) {
    proto.set_state(ToProto(change->state));
  } else if (const auto* result = std::get_if<TensorResult>(&event.body)) {
    *proto.mutable_tensor() = ToProto(*result);
  } else if (const auto* warning = std::get_if<Warning>(&event.body)) {
    proto.set_warning(ValidUtf8(warning->message));
  }
  return proto;
}

}  // namespace seedlm::server
