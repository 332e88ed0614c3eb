#include "server/scheduler/s3_leftovers.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/jobs/job.h"

namespace seedlm::server {

Leftover LeftoverOf(JobStore& store, std::string_view id) {
  const std::string name = absl::StrCat("jobs/", std::string(id));
  const absl::StatusOr<JobRecord> job = store.Get(name);
  if (job.ok()) {
    if (KeepsUploads(job->state, job->error)) return Leftover::kStays;
    // What was overwritten would not come back.
    if (job->state == JobState::kSucceeded || job->request.destination.overwrite) {
      return Leftover::kFinished;
    }
    // A job that FAILED has undone what it made, unless it does not know whether that is its
    // output.
    return job->state == JobState::kCancelled ? Leftover::kUndone : Leftover::kStaysIfMade;
  }
  if (!absl::IsNotFound(job.status())) return Leftover::kStays;  // nobody knows
  const absl::StatusOr<std::vector<JobRecord>> deletions = store.Deletions();
  const bool deleted =
      deletions.ok() && std::none_of(deletions->begin(), deletions->end(),
                                     [&](const JobRecord& other) { return other.name == name; });
  return deleted ? Leftover::kFinished : Leftover::kStays;
}

}  // namespace seedlm::server
