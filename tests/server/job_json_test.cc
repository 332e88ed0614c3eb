#include "server/jobs/job_json.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

JobRecord FullJob() {
  JobRecord job;
  job.name = "jobs/abc";
  job.request.source.uri = "file:///models/a%25b";
  job.request.destination = {false, "file:///out", true};
  job.request.spec.profile = codec::k4_5bit;
  job.request.spec.fit = codec::Fit::kNearest;
  job.request.spec.scale = codec::ScaleRule::kPow2;
  job.request.spec.include = {"*.weight", "re:.*"};
  job.request.spec.exclude = {"*head*"};
  job.request.spec.skip = {"x\"y"};
  job.request.spec.backend = "cpu";
  job.request.priority = -7;
  job.request.labels = {{"team", "a"}, {"run", "7"}};
  job.attempt = 3;
  job.create_time_ns = 1'700'000'000'123'456'789;
  job.start_time_ns = 5;
  job.end_time_ns = 6;
  job.estimate = {100, 200, 50, 1, 0.1, 4.5, {{"norm", "1-D"}}};
  job.progress = {1, 2, 3, 4, 5, 0.1, 7.25, "t", 8, 9};
  job.error = {absl::StatusCode::kDataLoss, "it broke", "BROKEN", {{"row", "7"}}};
  job.estimate.skipped_count = 7;
  job.estimate.copied_bytes = 8;
  job.estimate.copied_files = 2;
  job.estimate.memory_bytes = int64_t{1} << 33;
  job.estimate.index_bytes = 9;
  job.output_artifact = "artifacts/abc";
  job.output_files = {{"a/b.safetensors", int64_t{1} << 40, "00ff"}};
  job.etag = "12";
  return job;
}

TEST_CASE("a job survives its JSON") {
  const JobRecord job = FullJob();
  const absl::StatusOr<JobRecord> read = JobFromJson(JobToJson(job));
  REQUIRE(read.ok());
  // The text holds every field, so equal texts are equal jobs ..
  CHECK(JobToJson(*read) == JobToJson(job));
  // .. and these are not lost on both ways alike.
  CHECK(read->create_time_ns == job.create_time_ns);
  CHECK(read->request.spec.profile.name == "4.5bit");
  CHECK(read->request.spec.profile.rank == 4);
  CHECK(read->request.spec.fit == codec::Fit::kNearest);
  CHECK(read->request.spec.scale == codec::ScaleRule::kPow2);
  CHECK(read->request.spec.skip == job.request.spec.skip);
  CHECK(read->request.destination.overwrite);
  CHECK(read->request.labels == job.request.labels);
  CHECK(read->error.code == absl::StatusCode::kDataLoss);
  CHECK(read->error.details == job.error.details);
  CHECK(read->estimate.skipped_count == 7);
  CHECK(read->estimate.copied_bytes == 8);
  CHECK(read->estimate.copied_files == 2);
  CHECK(read->estimate.memory_bytes == int64_t{1} << 33);
  CHECK(read->estimate.index_bytes == 9);
  CHECK(read->estimate.seconds == 0.1);
  CHECK(read->estimate.skipped.at(0).reason == "1-D");
  CHECK(read->progress.current_tensor == "t");
  CHECK(read->output_files.at(0).size == int64_t{1} << 40);
}

TEST_CASE("every kind of event survives its JSON") {
  JobEvent event;
  event.body = StateChange{JobState::kCancelled};
  CHECK(std::get<StateChange>(EventFromJson(EventToJson(event))->body).state ==
        JobState::kCancelled);
  event.body = Warning{"slow disk"};
  CHECK(std::get<Warning>(EventFromJson(EventToJson(event))->body).message == "slow disk");
  event.body =
      TensorResult{"t", 3, 4, 0.1, 1e-300, 4.0, 2.5, "cpu", "ab", 0.25, 1e300, 48, 86, {7, 0, 9}};
  const auto tensor = std::get<TensorResult>(EventFromJson(EventToJson(event))->body);
  CHECK(tensor.relative_error == 0.1);
  CHECK(tensor.max_error == 1e-300);
  CHECK(tensor.columns == 4);
  CHECK(tensor.sha256 == "ab");
  CHECK(tensor.squared_error == 0.25);
  CHECK(tensor.squared_weights == 1e300);
  CHECK(tensor.source_bytes == 48);
  CHECK(tensor.packed_bytes == 86);
  CHECK(tensor.level_blocks == std::vector<int64_t>{7, 0, 9});
}

TEST_CASE("a message with bytes that are not UTF-8 can be stored") {
  JobRecord job = FullJob();
  job.error.message = "bad name \xff.safetensors";
  const absl::StatusOr<JobRecord> read = JobFromJson(JobToJson(job));
  REQUIRE(read.ok());
  CHECK(read->error.message.find("bad name") == 0);
}

TEST_CASE("what is no stored job is refused, not thrown") {
  std::string unknown_profile = JobToJson(FullJob());
  unknown_profile.replace(unknown_profile.find("4.5bit"), 6, "9.9bit");
  for (const std::string& bad : {std::string(""), std::string("{"), std::string("[]"),
                                 std::string("{\"name\":1}"), unknown_profile}) {
    INFO(bad);
    CHECK_THAT(JobFromJson(bad).status(), IsStatus(absl::StatusCode::kInternal, {"stored record"}));
  }
  CHECK_FALSE(EventFromJson("{}").ok());
}

TEST_CASE("requests with one different field have different canonical texts") {
  const JobRequest base = FullJob().request;
  CHECK(CanonicalRequest(base) == CanonicalRequest(FullJob().request));
  const auto differs = [&](auto change) {
    JobRequest other = base;
    change(other);
    return CanonicalRequest(other) != CanonicalRequest(base);
  };
  CHECK(differs([](JobRequest& r) { r.source = {"artifacts/x", ""}; }));
  CHECK(differs([](JobRequest& r) { r.destination.overwrite = false; }));
  CHECK(differs([](JobRequest& r) { r.spec.profile = codec::k4bit; }));
  CHECK(differs([](JobRequest& r) { r.spec.scale = codec::ScaleRule::kPaper; }));
  CHECK(differs([](JobRequest& r) { r.spec.include = {"*.weight", "re:.*x"}; }));
  CHECK(differs([](JobRequest& r) { r.spec.backend = "auto"; }));
  CHECK(differs([](JobRequest& r) { r.priority = 7; }));
  CHECK(differs([](JobRequest& r) { r.labels["team"] = "b"; }));
}

}  // namespace
}  // namespace seedlm::server
