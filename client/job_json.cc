#include "client/job_json.h"

#include <google/protobuf/util/time_util.h>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "client/rpc_status.h"

namespace seedlm::client {
namespace {

using Json = nlohmann::ordered_json;

void AddTime(Json& json, const char* key, bool has, const google::protobuf::Timestamp& time) {
  if (has) json[key] = google::protobuf::util::TimeUtil::ToString(time);
}

// "MEASURING"; "" where there is none.
std::string PhaseName(v1::JobPhase phase) {
  constexpr std::string_view kPrefix = "JOB_PHASE_";
  const std::string& name = v1::JobPhase_Name(phase);
  if (phase == v1::JOB_PHASE_UNSPECIFIED || name.rfind(kPrefix, 0) != 0) return "";
  return name.substr(kPrefix.size());
}

void AddProgress(Json& json, const v1::Progress& progress) {
  json["weights_done"] = progress.weights_done();
  json["weights_total"] = progress.weights_total();
  json["shards_done"] = progress.shards_done();
  json["shards_total"] = progress.shards_total();
  json["tensors_done"] = progress.tensors_done();
  json["tensors_total"] = progress.tensors_total();
  json["bytes_written"] = progress.bytes_written();
  json["weights_per_second"] = progress.weights_per_second();
  json["eta_seconds"] = progress.eta_seconds();
  json["current_tensor"] = progress.current_tensor();
  json["phase"] = PhaseName(progress.phase());
  json["phase_fraction"] = progress.phase_fraction();
  json["weights_kept"] = progress.weights_kept();
}

Json SpecJson(const v1::CompressionSpec& spec) {
  Json json = {{"profile", ProfileName(spec.profile())},
               {"fit", FitName(spec.fit())},
               {"scale", ScaleName(spec.scale())},
               {"backend", spec.backend().empty() ? "auto" : spec.backend()}};
  json["include"] = Json::array();
  for (const auto& pattern : spec.selection().include()) json["include"].push_back(pattern);
  json["exclude"] = Json::array();
  for (const auto& pattern : spec.selection().exclude()) json["exclude"].push_back(pattern);
  return json;
}

}  // namespace

bool IsCancelling(const v1::Progress& progress) {
  return progress.phase() == v1::JOB_PHASE_CANCELLING;
}

std::string StateText(const v1::Job& job) {
  return StateName(job.state()) + (IsCancelling(job.progress()) ? ", cancelling" : "");
}

std::string StateName(v1::JobState state) {
  constexpr std::string_view kPrefix = "JOB_STATE_";
  const std::string& name = v1::JobState_Name(state);
  return name.rfind(kPrefix, 0) == 0 ? name.substr(kPrefix.size()) : "UNKNOWN";
}

std::string ProfileName(v1::Profile profile) {
  switch (profile) {
    case v1::PROFILE_3BIT:
      return "3bit";
    case v1::PROFILE_4_5BIT:
      return "4.5bit";
    case v1::PROFILE_2BIT:
      return "2bit";
    default:
      return "4bit";
  }
}

std::string FitName(v1::Fit fit) { return fit == v1::FIT_NEAREST ? "nearest" : "optimal"; }

std::string ScaleName(v1::ScaleRule scale) {
  switch (scale) {
    case v1::SCALE_PAPER:
      return "paper";
    case v1::SCALE_POW2:
      return "pow2";
    default:
      return "fitted";
  }
}

Json ToJson(const v1::Estimate& estimate) {
  Json json = {
      {"weights", estimate.weights()},           {"input_bytes", estimate.input_bytes()},
      {"output_bytes", estimate.output_bytes()}, {"scratch_bytes", estimate.scratch_bytes()},
      {"copied_bytes", estimate.copied_bytes()}, {"copied_files", estimate.copied_files()},
      {"memory_bytes", estimate.memory_bytes()}, {"index_bytes", estimate.index_bytes()},
      {"seconds", estimate.seconds()},           {"bits_per_weight", estimate.bits_per_weight()}};
  json["skipped_count"] = estimate.skipped_count();
  json["skipped"] = Json::array();
  for (const auto& tensor : estimate.skipped()) {
    json["skipped"].push_back({{"name", tensor.name()}, {"reason", tensor.reason()}});
  }
  return json;
}

Json ToJson(const v1::TensorResult& tensor) {
  Json json = {{"name", tensor.name()},
               {"rows", tensor.rows()},
               {"columns", tensor.columns()},
               {"relative_error", tensor.relative_error()},
               {"max_error", tensor.max_error()},
               {"bits_per_weight", tensor.bits_per_weight()},
               {"seconds", tensor.seconds()},
               {"backend", tensor.backend()},
               {"sha256", tensor.sha256()},
               {"squared_error", tensor.squared_error()},
               {"squared_weights", tensor.squared_weights()},
               {"source_bytes", tensor.source_bytes()},
               {"packed_bytes", tensor.packed_bytes()}};
  json["level_blocks"] = Json::array();
  for (const int64_t blocks : tensor.level_blocks()) json["level_blocks"].push_back(blocks);
  return json;
}

Json ToJson(const v1::Job& job) {
  Json json = {{"name", job.name()},
               {"state", StateName(job.state())},
               {"attempt", job.attempt()},
               {"etag", job.etag()}};
  AddProgress(json, job.progress());
  AddTime(json, "create_time", job.has_create_time(), job.create_time());
  AddTime(json, "start_time", job.has_start_time(), job.start_time());
  AddTime(json, "end_time", job.has_end_time(), job.end_time());
  json["source"] = job.source().has_uri() ? job.source().uri() : job.source().artifact();
  json["destination"] = job.destination().has_uri() ? job.destination().uri() : "managed";
  json["spec"] = SpecJson(job.spec());
  if (!job.owner().empty()) json["owner"] = job.owner();
  json["priority"] = job.priority();
  json["labels"] = Json::object();
  for (const auto& [key, value] : job.labels()) json["labels"][key] = value;
  if (job.has_estimate()) json["estimate"] = ToJson(job.estimate());
  if (job.has_error()) {
    const absl::Status error = FromProto(job.error(), job.name());
    json["error"] = {{"code", absl::StatusCodeToString(error.code())},
                     {"reason", ErrorReason(error)},
                     {"message", job.error().message()},
                     {"metadata", ErrorDetails(error)}};
  }
  if (!job.output_artifact().empty()) json["output_artifact"] = job.output_artifact();
  json["output_file_count"] = job.output_file_count();
  json["output_files"] = Json::array();
  for (const auto& file : job.output_files()) {
    json["output_files"].push_back(
        {{"path", file.path()}, {"size", file.size()}, {"sha256", file.sha256()}});
  }
  return json;
}

Json ToJson(const v1::JobEvent& event) {
  Json json = {{"sequence", event.sequence()}};
  AddTime(json, "time", event.has_time(), event.time());
  switch (event.event_case()) {
    case v1::JobEvent::kSnapshot:
      json["event"] = "snapshot";
      json["job"] = ToJson(event.snapshot());
      break;
    case v1::JobEvent::kState:
      json["event"] = "state";
      json["state"] = StateName(event.state());
      break;
    case v1::JobEvent::kProgress:
      json["event"] = "progress";
      AddProgress(json, event.progress());
      break;
    case v1::JobEvent::kTensor:
      json["event"] = "tensor";
      json["tensor"] = ToJson(event.tensor());
      break;
    case v1::JobEvent::kWarning:
      json["event"] = "warning";
      json["message"] = event.warning();
      break;
    default:
      json["event"] = "keep_alive";
  }
  return json;
}

Json ToJson(const v1::Capabilities& capabilities) {
  Json json = {{"version", capabilities.version()}};
  json["profiles"] = Json::array();
  for (const int profile : capabilities.profiles()) {
    json["profiles"].push_back(ProfileName(static_cast<v1::Profile>(profile)));
  }
  json["backends"] = Json::array();
  for (const auto& backend : capabilities.backends()) {
    Json devices = Json::array();
    for (const auto& device : backend.devices()) {
      devices.push_back({{"index", device.index()},
                         {"name", device.name()},
                         {"pci_address", device.pci_address()},
                         {"memory_bytes", device.memory_bytes()},
                         {"available", device.available()},
                         {"why_unavailable", device.why_unavailable()}});
    }
    json["backends"].push_back({{"name", backend.name()},
                                {"description", backend.description()},
                                {"available", backend.available()},
                                {"why_unavailable", backend.why_unavailable()},
                                {"workers", backend.workers()},
                                {"devices", std::move(devices)}});
  }
  json["limits"] = {{"max_chunk_bytes", capabilities.max_chunk_bytes()},
                    {"max_message_bytes", capabilities.max_message_bytes()},
                    {"max_metadata_bytes", capabilities.max_metadata_bytes()},
                    {"max_queued_jobs", capabilities.max_queued_jobs()},
                    {"max_owner_jobs", capabilities.max_owner_jobs()},
                    {"max_owner_uploads", capabilities.max_owner_uploads()},
                    {"max_owner_downloads", capabilities.max_owner_downloads()},
                    {"max_owner_watches", capabilities.max_owner_watches()},
                    {"max_owner_bytes", capabilities.max_owner_bytes()},
                    {"upload_idle_seconds", capabilities.upload_idle_seconds()},
                    {"shard_bytes", capabilities.shard_bytes()},
                    {"max_row_weights", capabilities.max_row_weights()},
                    {"max_tensors", capabilities.max_tensors()},
                    {"max_tensor_name_bytes", capabilities.max_tensor_name_bytes()},
                    {"max_header_bytes", capabilities.max_header_bytes()}};
  return json;
}

std::string JsonLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace seedlm::client
