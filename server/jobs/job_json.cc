#include "server/jobs/job_json.h"

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace seedlm::server {

using nlohmann::json;

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(JobSource, artifact, uri)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(JobDestination, managed, uri, overwrite)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SkippedTensor, name, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Estimate, weights, input_bytes, output_bytes,
                                                scratch_bytes, seconds, bits_per_weight, skipped,
                                                skipped_count, copied_bytes, copied_files,
                                                memory_bytes, index_bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Progress, weights_done, weights_total, shards_done,
                                                shards_total, bytes_written, weights_per_second,
                                                eta_seconds, current_tensor, tensors_done,
                                                tensors_total, weights_kept)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(OutputFile, path, size, sha256)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(TensorResult, name, rows, columns, relative_error,
                                                max_error, bits_per_weight, seconds, backend,
                                                sha256, squared_error, squared_weights,
                                                source_bytes, packed_bytes, level_blocks)

namespace {

// Messages may quote bytes of a file name that are not UTF-8.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Thrown to Guarded, as what the library itself throws.
json::other_error UnknownName(const std::string& name) {
  constexpr int kFirstUserError = 600;
  return json::other_error::create(kFirstUserError, "unknown name '" + name + "'", nullptr);
}

template <typename Enum>
Enum FromName(const std::string& name, std::initializer_list<Enum> values) {
  for (const Enum value : values) {
    if (codec::Name(value) == name) return value;
  }
  throw UnknownName(name);
}

codec::ScaleRule RuleFromName(const std::string& name) {
  return FromName(name,
                  {codec::ScaleRule::kPaper, codec::ScaleRule::kPow2, codec::ScaleRule::kFitted});
}

json ToJson(const JobSpec& spec) {
  return {{"profile", std::string(spec.profile.name)},
          {"fit", std::string(codec::Name(spec.fit))},
          {"scale", std::string(codec::Name(spec.scale))},
          {"include", spec.include},
          {"exclude", spec.exclude},
          {"skip", spec.skip},
          {"backend", spec.backend}};
}

JobSpec SpecFromJson(const json& value) {
  JobSpec spec;
  const std::string profile_name = value.at("profile");
  const codec::Profile* profile = codec::FindProfile(profile_name);
  if (profile == nullptr) {
    throw UnknownName(profile_name);
  }
  spec.profile = *profile;
  spec.fit = FromName(value.at("fit"), {codec::Fit::kOptimal, codec::Fit::kNearest});
  spec.scale = RuleFromName(value.at("scale"));
  value.at("include").get_to(spec.include);
  value.at("exclude").get_to(spec.exclude);
  value.at("skip").get_to(spec.skip);
  value.at("backend").get_to(spec.backend);
  return spec;
}

json ToJson(const JobRequest& request) {
  return {{"source", request.source},
          {"destination", request.destination},
          {"spec", ToJson(request.spec)},
          {"priority", request.priority},
          {"labels", request.labels}};
}

JobRequest RequestFromJson(const json& value) {
  JobRequest request;
  value.at("source").get_to(request.source);
  value.at("destination").get_to(request.destination);
  request.spec = SpecFromJson(value.at("spec"));
  value.at("priority").get_to(request.priority);
  value.at("labels").get_to(request.labels);
  return request;
}

// Runs `parse`; what the JSON library throws becomes a status.
template <typename T, typename Parse>
absl::StatusOr<T> Guarded(std::string_view text, Parse parse) {
  try {
    return parse(json::parse(text));
  } catch (const json::exception& e) {
    return absl::InternalError(absl::StrCat("a stored record cannot be read: ", e.what()));
  }
}

}  // namespace

std::string JobToJson(const JobRecord& job) {
  return Dump({{"name", job.name},
               {"owner", job.request.owner},
               {"request", ToJson(job.request)},
               {"attempt", job.attempt},
               {"create_time_ns", job.create_time_ns},
               {"start_time_ns", job.start_time_ns},
               {"end_time_ns", job.end_time_ns},
               {"estimate", job.estimate},
               {"progress", job.progress},
               {"error_code", static_cast<int>(job.error.code)},
               {"error_message", job.error.message},
               {"error_reason", job.error.reason},
               {"error_details", job.error.details},
               {"output_artifact", job.output_artifact},
               {"output_files", job.output_files},
               {"etag", job.etag}});
}

absl::StatusOr<JobRecord> JobFromJson(std::string_view text) {
  return Guarded<JobRecord>(text, [](const json& value) {
    JobRecord job;
    job.request = RequestFromJson(value.at("request"));
    value.at("name").get_to(job.name);
    job.request.owner = value.value("owner", "");
    job.attempt = value.value("attempt", 1);
    job.create_time_ns = value.value("create_time_ns", int64_t{0});
    job.start_time_ns = value.value("start_time_ns", int64_t{0});
    job.end_time_ns = value.value("end_time_ns", int64_t{0});
    job.estimate = value.value("estimate", Estimate{});
    job.progress = value.value("progress", Progress{});
    job.error.code = static_cast<absl::StatusCode>(value.value("error_code", 0));
    job.error.message = value.value("error_message", "");
    job.error.reason = value.value("error_reason", "");
    job.error.details = value.value("error_details", std::map<std::string, std::string>{});
    job.output_artifact = value.value("output_artifact", "");
    job.output_files = value.value("output_files", std::vector<OutputFile>{});
    job.etag = value.value("etag", "");
    return job;
  });
}

std::string EventToJson(const JobEvent& event) {
  if (const auto* change = std::get_if<StateChange>(&event.body)) {
    return Dump({{"state", static_cast<int>(change->state)}});
  }
  if (const auto* tensor = std::get_if<TensorResult>(&event.body))
    return Dump({{"tensor", *tensor}});
  return Dump({{"warning", std::get<Warning>(event.body).message}});
}

absl::StatusOr<JobEvent> EventFromJson(std::string_view text) {
  return Guarded<JobEvent>(text, [](const json& value) {
    JobEvent event;
    if (value.contains("tensor")) {
      event.body = value.at("tensor").get<TensorResult>();
    } else if (value.contains("warning")) {
      event.body = Warning{value.at("warning").get<std::string>()};
    } else {
      event.body = StateChange{static_cast<JobState>(value.at("state").get<int>())};
    }
    return event;
  });
}

std::string LevelsToJson(const codec::LevelTable& levels) {
  std::array<uint32_t, codec::kLevels> bits{};
  std::transform(levels.scale.begin(), levels.scale.end(), bits.begin(),
                 [](float level) { return std::bit_cast<uint32_t>(level); });
  return Dump({{"rule", std::string(codec::Name(levels.rule))},
               {"bias", levels.bias},
               {"scale_bits", bits}});
}

absl::StatusOr<codec::LevelTable> LevelsFromJson(std::string_view text) {
  return Guarded<codec::LevelTable>(text, [](const json& value) {
    codec::LevelTable levels;
    levels.rule = RuleFromName(value.at("rule"));
    value.at("bias").get_to(levels.bias);
    const auto bits = value.at("scale_bits").get<std::array<uint32_t, codec::kLevels>>();
    std::transform(bits.begin(), bits.end(), levels.scale.begin(),
                   [](uint32_t level) { return std::bit_cast<float>(level); });
    return levels;
  });
}

std::string PublicationToJson(const Publication& publication) {
  return Dump({{"intent", publication.intent}, {"files", publication.files}});
}

absl::StatusOr<Publication> PublicationFromJson(std::string_view text) {
  return Guarded<Publication>(text, [](const json& value) {
    return Publication{value.at("intent").get<std::string>(),
                       value.at("files").get<std::vector<OutputFile>>()};
  });
}

std::string CanonicalRequest(const JobRequest& request) { return Dump(ToJson(request)); }

}  // namespace seedlm::server
