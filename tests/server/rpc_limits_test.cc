// admission/limits: every limit at v - 1, v, v + 1 where that makes sense.
#include <catch2/catch.hpp>

#include "server/admission/limits.h"
#include "server/admission/owner_gate.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

std::map<std::string, std::string> Labels(size_t count) {
  std::map<std::string, std::string> labels;
  for (size_t i = 0; i < count; ++i) labels["key" + std::to_string(i)] = "value";
  return labels;
}

JobRequest ValidRequest() {
  JobRequest request;
  request.source.uri = "file:///in.safetensors";
  request.destination.managed = true;
  return request;
}

void CheckRefused(const absl::Status& status, const std::string& field) {
  INFO(status.ToString());
  CHECK(absl::IsInvalidArgument(status));
  CHECK(status.message().substr(0, field.size()) == field);
  CHECK(ReasonOf(status) == "FIELD_INVALID");
  CHECK(DetailsOf(status)["field"] == field);
}

void CheckFull(const absl::Status& status, const std::string& reason, const std::string& limit) {
  INFO(status.ToString());
  CHECK(absl::IsResourceExhausted(status));
  CHECK(ReasonOf(status) == reason);
  CHECK(DetailsOf(status)["limit"] == limit);
  CHECK(RetryAfterOf(status).has_value());
}

TEST_CASE("a gate bounds what an owner has, and what all have together") {
  OwnerGate gate("streams", "OWNER_STREAMS", 2, 3);
  absl::StatusOr<OwnerGate::Place> first = gate.Enter("a");
  absl::StatusOr<OwnerGate::Place> second = gate.Enter("a");
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CheckFull(gate.Enter("a").status(), "OWNER_STREAMS", "2");
  absl::StatusOr<OwnerGate::Place> third = gate.Enter("b");
  REQUIRE(third.ok());
  CheckFull(gate.Enter("b").status(), "SERVER_BUSY", "3");
  *first = {};
  CHECK(gate.Enter("b").ok());  // and left again
  CHECK(gate.Enter("a").ok());
}

TEST_CASE("request ids have at most 128 bytes") {
  CHECK(CheckRequestId("").ok());
  CHECK(CheckRequestId(std::string(127, 'a')).ok());
  CHECK(CheckRequestId(std::string(128, 'a')).ok());
  CheckRefused(CheckRequestId(std::string(129, 'a')), "request_id");
}

TEST_CASE("labels: at most 64, of at most 63 bytes, with a key") {
  CHECK(CheckLabels({}, "job.labels").ok());
  CHECK(CheckLabels(Labels(64), "job.labels").ok());
  CheckRefused(CheckLabels(Labels(65), "job.labels"), "job.labels");
  CHECK(CheckLabels({{std::string(63, 'k'), std::string(63, 'v')}}, "job.labels").ok());
  CHECK(CheckLabels({{"key", ""}}, "job.labels").ok());
  CheckRefused(CheckLabels({{std::string(64, 'k'), "v"}}, "job.labels"), "job.labels");
  CheckRefused(CheckLabels({{"k", std::string(64, 'v')}}, "labels"), "labels");
  CheckRefused(CheckLabels({{"", "v"}}, "job.labels"), "job.labels");
}

TEST_CASE("priorities are -100 .. 100") {
  for (const int good : {-100, -99, 0, 99, 100}) CHECK(CheckPriority(good).ok());
  for (const int bad : {-101, 101, INT32_MIN, INT32_MAX}) {
    CheckRefused(CheckPriority(bad), "job.priority");
  }
}

TEST_CASE("patterns: at most 256, of 1 - 512 bytes") {
  const auto patterns = [](size_t count) { return std::vector<std::string>(count, "*.weight"); };
  CHECK(CheckPatterns({}, "f").ok());
  CHECK(CheckPatterns(patterns(256), "f").ok());
  CheckRefused(CheckPatterns(patterns(257), "f"), "f");
  CHECK(CheckPatterns({std::string(512, 'a')}, "f").ok());
  CheckRefused(CheckPatterns({std::string(513, 'a')}, "f"), "f");
  CheckRefused(CheckPatterns({""}, "f"), "f");
}

TEST_CASE("a request has one source and one destination") {
  CHECK(CheckJobRequest(ValidRequest()).ok());
  JobRequest request = ValidRequest();
  request.source.uri.clear();
  CheckRefused(CheckJobRequest(request), "job.source");
  request.source = {"artifacts/a", "file:///in"};
  CheckRefused(CheckJobRequest(request), "job.source");
  request = ValidRequest();
  request.destination.managed = false;
  CheckRefused(CheckJobRequest(request), "job.destination");
  request.destination = {true, "file:///out", false};
  CheckRefused(CheckJobRequest(request), "job.destination");
}

TEST_CASE("each field of a request is checked, and named") {
  const std::vector<std::pair<std::string, void (*)(JobRequest&)>> cases = {
      {"job.source.uri", [](JobRequest& r) { r.source.uri = "file:///" + std::string(4090, 'a'); }},
      {"job.source.artifact",
       [](JobRequest& r) {
         r.source = {"artifacts/" + std::string(4090, 'a'), ""};
       }},
      {"job.destination.uri",
       [](JobRequest& r) {
         r.destination = {false, "file:///" + std::string(4090, 'a'), false};
       }},
      {"job.spec.selection.include", [](JobRequest& r) { r.spec.include = {""}; }},
      {"job.spec.selection.exclude", [](JobRequest& r) { r.spec.exclude = {""}; }},
      {"job.spec.overrides", [](JobRequest& r) { r.spec.skip = {""}; }},
      {"job.spec.backend", [](JobRequest& r) { r.spec.backend = std::string(65, 'a'); }},
      {"job.priority", [](JobRequest& r) { r.priority = 101; }},
      {"job.labels",
       [](JobRequest& r) {
         r.labels = {{"", "v"}};
       }},
  };
  for (const auto& [field, spoil] : cases) {
    JobRequest request = ValidRequest();
    spoil(request);
    CheckRefused(CheckJobRequest(request), field);
  }
}

}  // namespace
}  // namespace seedlm::server
