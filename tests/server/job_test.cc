#include "server/jobs/job.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

constexpr JobState kStates[] = {JobState::kQueued, JobState::kRunning, JobState::kSucceeded,
                                JobState::kFailed, JobState::kCancelled};

TEST_CASE("a job's changes of state") {
  // Rows: from; columns: to; both in the order of kStates.
  constexpr bool kAllowed[5][5] = {
      {false, true, false, true, true},     // QUEUED
      {true, false, true, true, true},      // RUNNING; to QUEUED when its server ended
      {false, false, false, false, false},  // SUCCEEDED
      {true, false, false, false, false},   // FAILED; to QUEUED when it is resumed
      {true, false, false, false, false},   // CANCELLED; likewise
  };
  for (int from = 0; from < 5; ++from) {
    for (int to = 0; to < 5; ++to) {
      INFO(Name(kStates[from]) << " -> " << Name(kStates[to]));
      CHECK(CanMove(kStates[from], kStates[to]) == kAllowed[from][to]);
    }
  }
}

TEST_CASE("only the last three states are ends") {
  for (const JobState state : kStates) {
    INFO(Name(state));
    CHECK(HasEnded(state) == (state != JobState::kQueued && state != JobState::kRunning));
  }
}

TEST_CASE("job names") {
  CHECK(ParseJobName("jobs/0a-Z_9").value() == "0a-Z_9");
  CHECK(ParseJobName("jobs/" + std::string(64, 'x')).ok());
  for (const std::string& bad :
       {std::string(""), std::string("jobs"), std::string("jobs/"), std::string("artifacts/1"),
        std::string("jobs/a/b"), std::string("jobs/.."), "jobs/" + std::string(65, 'x'),
        std::string("jobs/a\nb")}) {
    INFO(bad);
    CHECK_THAT(ParseJobName(bad).status(),
               IsStatus(absl::StatusCode::kInvalidArgument, {"is no job name", "jobs/ID"}));
    CHECK_THAT(ParseJobName(bad).status(), IsInvalidField("name"));
  }
}

TEST_CASE("a malformed job name is not repeated with its control characters") {
  const absl::Status status = ParseJobName("jobs/\x1b[2J").status();
  CHECK(std::string(status.message()).find('\x1b') == std::string::npos);
}

}  // namespace
}  // namespace seedlm::server
