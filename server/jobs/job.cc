#include "server/jobs/job.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr std::string_view kJobPrefix = "jobs/";
constexpr size_t kMaxIdBytes = 64;
constexpr size_t kMaxQuotedBytes = 100;  // of a malformed name in an error message

bool IsIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

}  // namespace

std::string_view Name(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "QUEUED";
    case JobState::kRunning:
      return "RUNNING";
    case JobState::kSucceeded:
      return "SUCCEEDED";
    case JobState::kFailed:
      return "FAILED";
    case JobState::kCancelled:
      break;
  }
  return "CANCELLED";
}

bool KeepsUploads(JobState state, const JobError& error) {
  return !HasEnded(state) || (state == JobState::kFailed && error.reason == kS3Unavailable);
}

bool CanMove(JobState from, JobState to) {
  switch (from) {
    case JobState::kQueued:
      // QUEUED -> FAILED: it could not even be started.
      return to == JobState::kRunning || to == JobState::kFailed || to == JobState::kCancelled;
    case JobState::kRunning:
      return to != JobState::kRunning;
    case JobState::kFailed:
    case JobState::kCancelled:
      return to == JobState::kQueued;
    case JobState::kSucceeded:
      break;
  }
  return false;
}

absl::StatusOr<std::string> ParseJobName(std::string_view name) {
  const std::string_view id = name.substr(std::min(name.size(), kJobPrefix.size()));
  if (name.substr(0, kJobPrefix.size()) != kJobPrefix || id.empty() || id.size() > kMaxIdBytes ||
      !std::all_of(id.begin(), id.end(), IsIdCharacter)) {
    std::string quoted(name.substr(0, kMaxQuotedBytes));
    std::replace_if(
        quoted.begin(), quoted.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return WithReason(absl::InvalidArgumentError(absl::StrCat(
                          "'", quoted, "' is no job name; job names look like jobs/ID")),
                      "FIELD_INVALID", {{"field", "name"}});
  }
  return std::string(id);
}

absl::Status CheckEtag(const JobRecord& job, std::string_view etag) {
  if (etag.empty() || etag == job.etag) return absl::OkStatus();
  return WithReason(
      absl::AbortedError(absl::StrCat(job.name, " is ", std::string(Name(job.state)),
                                      " by now: it has changed since the etag that was given; look "
                                      "at it again, then decide")),
      "ETAG_MISMATCH");
}

absl::Status NoSuchJob(std::string_view name) {
  return absl::NotFoundError(
      absl::StrCat("no job named '", std::string(name), "'; `list` shows those there are"));
}

}  // namespace seedlm::server
