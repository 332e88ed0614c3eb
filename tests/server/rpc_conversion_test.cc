// rpc/backend_conversion, rpc/codec_conversion and rpc/job_conversion: the wire's words and the
// server's.
#include <catch2/catch.hpp>

#include "google/rpc/error_details.pb.h"
#include "server/errors/reason.h"
#include "server/rpc/backend_conversion.h"
#include "server/rpc/codec_conversion.h"
#include "server/rpc/job_conversion.h"

namespace seedlm::server {
namespace {

v1::Job ValidJob() {
  v1::Job job;
  job.mutable_source()->set_uri("file:///in.safetensors");
  job.mutable_destination()->set_managed(true);
  return job;
}

TEST_CASE("devices are told with their backend, those that cannot be used with the reason") {
  BackendUse use{{"cuda", "two GPUs", true, "", {}}, 3};
  use.info.devices = {{0, "00000000:1B:00.0", "big", int64_t{80} << 30, ""},
                      {1, "", "old", int64_t{4} << 30, "too old"}};
  const v1::BackendCapability capability = ToProto(use);
  CHECK(capability.name() == "cuda");
  CHECK(capability.workers() == 3);
  REQUIRE(capability.devices_size() == 2);
  CHECK(capability.devices(0).available());
  CHECK(capability.devices(0).name() == "big");
  CHECK(capability.devices(0).pci_address() == "00000000:1B:00.0");
  CHECK(capability.devices(0).memory_bytes() == int64_t{80} << 30);
  CHECK(capability.devices(1).index() == 1);
  CHECK_FALSE(capability.devices(1).available());
  CHECK(capability.devices(1).why_unavailable() == "too old");
}

TEST_CASE("an empty spec is the defaults") {
  const auto spec = FromProto(v1::CompressionSpec());
  REQUIRE(spec.ok());
  CHECK(spec->profile.name == "4bit");
  CHECK(spec->fit == codec::Fit::kOptimal);
  CHECK(spec->scale == codec::ScaleRule::kFitted);
  CHECK(spec->backend == "auto");
}

TEST_CASE("nearest without a scale is pow2; with fitted it is refused") {
  v1::CompressionSpec spec;
  spec.set_fit(v1::FIT_NEAREST);
  REQUIRE(FromProto(spec).ok());
  CHECK(FromProto(spec)->scale == codec::ScaleRule::kPow2);
  spec.set_scale(v1::SCALE_PAPER);
  CHECK(FromProto(spec)->scale == codec::ScaleRule::kPaper);
  spec.set_scale(v1::SCALE_FITTED);
  CHECK(DetailsOf(FromProto(spec).status())["field"] == "job.spec.scale");
}

TEST_CASE("every spec survives the way there and back") {
  for (const v1::Profile profile : AllProfiles()) {
    for (const v1::ScaleRule scale : {v1::SCALE_PAPER, v1::SCALE_POW2, v1::SCALE_FITTED}) {
      for (const v1::Fit fit : {v1::FIT_OPTIMAL, v1::FIT_NEAREST}) {
        if (fit == v1::FIT_NEAREST && scale == v1::SCALE_FITTED) continue;
        v1::CompressionSpec spec;
        spec.set_profile(profile);
        spec.set_fit(fit);
        spec.set_scale(scale);
        spec.mutable_selection()->add_include("*.weight");
        spec.mutable_selection()->add_exclude("re:.*norm.*");
        v1::Override* exception = spec.add_overrides();
        exception->set_pattern("head.*");
        exception->set_skip(true);
        spec.set_backend("reference");
        const auto plain = FromProto(spec);
        REQUIRE(plain.ok());
        CHECK(ToProto(*plain).SerializeAsString() == spec.SerializeAsString());
      }
    }
  }
}

TEST_CASE("values that this version does not know are refused by name") {
  const std::vector<std::pair<std::string, void (*)(v1::CompressionSpec&)>> cases = {
      {"job.spec.profile", [](auto& s) { s.set_profile(static_cast<v1::Profile>(77)); }},
      {"job.spec.fit", [](auto& s) { s.set_fit(static_cast<v1::Fit>(77)); }},
      {"job.spec.scale", [](auto& s) { s.set_scale(static_cast<v1::ScaleRule>(77)); }},
      {"job.spec.overrides", [](auto& s) { s.add_overrides()->set_pattern("a"); }},
      {"job.spec.overrides", [](auto& s) { s.add_overrides()->set_skip(false); }},
  };
  for (const auto& [field, spoil] : cases) {
    v1::CompressionSpec spec;
    spoil(spec);
    const absl::Status status = FromProto(spec).status();
    CHECK(absl::IsInvalidArgument(status));
    CHECK(DetailsOf(status)["field"] == field);
  }
}

TEST_CASE("an override to another profile is not available") {
  v1::CompressionSpec spec;
  spec.add_overrides()->set_pattern("head.*");
  spec.mutable_overrides(0)->set_profile(v1::PROFILE_3BIT);
  const absl::Status status = FromProto(spec).status();
  CHECK(absl::IsUnimplemented(status));
  CHECK(std::string(status.message()).find("'head.*'") != std::string::npos);
}

TEST_CASE("a job's request is taken, and what the server fills is ignored") {
  v1::Job job = ValidJob();
  job.set_name("jobs/mine");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.set_priority(-100);
  (*job.mutable_labels())["team"] = "a";
  job.mutable_destination()->set_overwrite(true);
  const auto request = FromProto(job);
  REQUIRE(request.ok());
  CHECK(request->source.uri == "file:///in.safetensors");
  CHECK(request->destination.managed);
  CHECK(request->destination.overwrite);
  CHECK(request->priority == -100);
  CHECK(request->labels.at("team") == "a");
}

TEST_CASE("a job without a source, or managed = false, is refused") {
  v1::Job job = ValidJob();
  job.clear_source();
  CHECK(DetailsOf(FromProto(job).status())["field"] == "job.source");
  job = ValidJob();
  job.mutable_destination()->set_managed(false);
  CHECK(DetailsOf(FromProto(job).status())["field"] == "job.destination");
}

TEST_CASE("a list's filters are taken") {
  v1::ListJobsRequest request;
  CHECK_FALSE(FromProto(request)->state.has_value());
  for (int state = 1; state <= 5; ++state) {
    request.set_state(static_cast<v1::JobState>(state));
    const auto query = FromProto(request);
    REQUIRE(query.ok());
    REQUIRE(query->state.has_value());
    CHECK(ToProto(*query->state) == state);
  }
  request.set_state(static_cast<v1::JobState>(6));
  CHECK(DetailsOf(FromProto(request).status())["field"] == "state");
}

TEST_CASE("a record is told in full; a failed one with its error") {
  JobRecord record;
  record.name = "jobs/1";
  record.request = *FromProto(ValidJob());
  record.state = JobState::kFailed;
  record.attempt = 3;
  record.create_time_ns = 1'500'000'000'250'000'000;
  record.error = {
      absl::StatusCode::kInvalidArgument, "row 1: weight is NaN", "WEIGHT_NOT_FINITE", {}};
  record.output_files = {{"model\xFF.safetensors", 12, "ab"}};
  record.progress.weights_total = 64;
  const v1::Job job = ToProto(record);
  CHECK(job.state() == v1::JOB_STATE_FAILED);
  CHECK(job.attempt() == 3);
  CHECK(job.create_time().seconds() == 1'500'000'000);
  CHECK(job.create_time().nanos() == 250'000'000);
  CHECK_FALSE(job.has_start_time());
  CHECK_FALSE(job.has_end_time());
  CHECK(job.error().code() == static_cast<int>(absl::StatusCode::kInvalidArgument));
  google::rpc::ErrorInfo info;
  REQUIRE(job.error().details_size() == 1);
  REQUIRE(job.error().details(0).UnpackTo(&info));
  CHECK(info.reason() == "WEIGHT_NOT_FINITE");
  CHECK(job.output_files(0).path() == "model?.safetensors");
  CHECK(job.progress().weights_total() == 64);
}

TEST_CASE("the details of a job's error are told") {
  JobRecord record;
  record.name = "jobs/1";
  record.request = *FromProto(ValidJob());
  record.error = {absl::StatusCode::kInvalidArgument,
                  "NaN",
                  "WEIGHT_NOT_FINITE",
                  {{"tensor", "a.weight"}, {"row", "3"}, {"column", "5"}}};
  google::rpc::ErrorInfo info;
  REQUIRE(ToProto(record).error().details(0).UnpackTo(&info));
  CHECK(info.metadata().at("tensor") == "a.weight");
  CHECK(info.metadata().at("row") == "3");
  CHECK(info.metadata().at("column") == "5");
}

TEST_CASE("a job fits a message, however many files and tensors it has") {
  JobRecord record;
  record.name = "jobs/1";
  record.request = *FromProto(ValidJob());
  record.request.spec.exclude = std::vector<std::string>(256, std::string(512, 'x'));
  for (int i = 0; i < 100'000; ++i) {
    record.output_files.push_back({"file" + std::to_string(i), i, std::string(64, 'a')});
  }
  for (size_t i = 0; i < kMaxSkipped; ++i) {
    record.estimate.skipped.push_back({std::string(10'000, 'n'), "1-D"});
  }
  record.estimate.skipped_count = 5000;
  record.progress.current_tensor = std::string(8 << 20, 'n');
  const v1::Job job = ToProto(record);
  CHECK(job.ByteSizeLong() < static_cast<size_t>(kMaxMessageBytes));
  CHECK(job.output_files_size() > 10'000);
  CHECK(job.output_file_count() == 100'000);
  CHECK(job.estimate().skipped_size() > 100);
  CHECK(job.estimate().skipped_count() == 5000);
  record.estimate.skipped_count = 0;  // a record of an earlier version
  CHECK(ToProto(record).estimate().skipped_count() == static_cast<int64_t>(kMaxSkipped));
}

TEST_CASE("each phase has its name on the wire") {
  Progress progress;
  progress.phase_fraction = 0.5;
  CHECK(ToProto(progress).phase() == v1::JOB_PHASE_UNSPECIFIED);
  CHECK(ToProto(progress).phase_fraction() == 0.5);
  progress.phase = JobPhase::kMeasuring;
  CHECK(ToProto(progress).phase() == v1::JOB_PHASE_MEASURING);
  progress.phase = JobPhase::kEncoding;
  CHECK(ToProto(progress).phase() == v1::JOB_PHASE_ENCODING);
  progress.phase = JobPhase::kPublishing;
  CHECK(ToProto(progress).phase() == v1::JOB_PHASE_PUBLISHING);
}

TEST_CASE("events keep number, time and body") {
  const v1::JobEvent state = ToProto(JobEvent{7, 2'000'000'001, StateChange{JobState::kRunning}});
  CHECK(state.sequence() == 7);
  CHECK(state.time().seconds() == 2);
  CHECK(state.time().nanos() == 1);
  CHECK(state.state() == v1::JOB_STATE_RUNNING);
  TensorResult result;
  result.name = "a.weight";
  result.relative_error = 0.1;
  result.squared_error = 0.01;
  result.squared_weights = 1;
  result.source_bytes = 48;
  result.packed_bytes = 86;
  result.level_blocks = {7, 0, 9};
  const v1::JobEvent tensor = ToProto(JobEvent{8, 0, result});
  CHECK(tensor.tensor().name() == "a.weight");
  CHECK(tensor.tensor().relative_error() == 0.1);
  CHECK(tensor.tensor().squared_error() == 0.01);
  CHECK(tensor.tensor().squared_weights() == 1);
  CHECK(tensor.tensor().source_bytes() == 48);
  CHECK(tensor.tensor().packed_bytes() == 86);
  CHECK(std::vector<int64_t>(tensor.tensor().level_blocks().begin(),
                             tensor.tensor().level_blocks().end()) ==
        std::vector<int64_t>{7, 0, 9});
  CHECK(ToProto(JobEvent{9, 0, Warning{"slow disk"}}).warning() == "slow disk");
}

}  // namespace
}  // namespace seedlm::server
