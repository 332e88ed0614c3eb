// What the rpc layer calls: jobs without gRPC types.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/jobs/job.h"
#include "server/jobs/job_events.h"
#include "server/jobs/job_store.h"
#include "server/scheduler/checkpoint_source.h"
#include "server/scheduler/scheduler.h"
#include "server/storage/rename_publisher.h"

namespace spdlog {
class logger;
}

namespace seedlm::server {

// Thread-safe. Methods block for file and database I/O (milliseconds; Create also for reading the
// checkpoint's headers): call them from a thread that may wait.
class JobService {
 public:
  // All must outlive the service.
  struct Parts {
    JobStore* store = nullptr;
    JobEvents* events = nullptr;
    Scheduler* scheduler = nullptr;
    const SourceLocator* locator = nullptr;
    PublisherFactory make_publisher = RenamePublisher::Make;
    FaultPoint fault_point = {};
    std::shared_ptr<spdlog::logger> log{};  // may be null
  };
  explicit JobService(Parts parts) : parts_(std::move(parts)) {}

  // Checks everything that can be known from headers, estimates, stores and queues. The same
  // request_id (may be empty) with the same request gives the same job. `validate_only`: nothing is
  // stored, and the answer has no name unless it is that job.
  // REQUIRES: the request's fields are well-formed (admission has checked counts and lengths).
  // Errors: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, ALREADY_EXISTS, FAILED_PRECONDITION,
  // UNIMPLEMENTED, RESOURCE_EXHAUSTED (too many jobs wait or run), UNAVAILABLE (the server is
  // stopping, or the S3 server away), CANCELLED (not wanted any more).
  struct Asker {
    std::function<bool()> still_wants = [] { return true; };  // asked before anything is stored
    std::stop_token stop{};                                   // ends the checks
  };
  absl::StatusOr<JobRecord> Create(const JobRequest& request, std::string_view request_id,
                                   bool validate_only, const Asker& asker);
  absl::StatusOr<JobRecord> Create(const JobRequest& request, std::string_view request_id,
                                   bool validate_only) {
    return Create(request, request_id, validate_only, Asker());
  }

  // With live progress if the job runs. INVALID_ARGUMENT (malformed name), NOT_FOUND.
  absl::StatusOr<JobRecord> Get(std::string_view name);

  absl::StatusOr<JobPage> List(const JobQuery& query);

  // Asks the job to stop and returns it as it is then: a RUNNING job becomes CANCELLED soon after,
  // when its workers have let go of it. A job that has ended stays as it is. As Get; ABORTED, here
  // and below, if `etag` is not empty and not that of the job as the call finds it: nothing is
  // done.
  absl::StatusOr<JobRecord> Cancel(std::string_view name, std::string_view etag = {});

  // Queues a job that FAILED or was CANCELLED again, attempt + 1: only what is missing runs. One
  // that waits or runs stays as it is, so that a call may be repeated. FAILED_PRECONDITION (it
  // SUCCEEDED), RESOURCE_EXHAUSTED (too many jobs, or no room for its result), UNAVAILABLE; else as
  // Get.
  absl::StatusOr<JobRecord> Resume(std::string_view name, std::string_view etag = {});

  // Removes a job that has ended: its events, what is staged of it, its managed result.
  // `by`: who asks, for the log. FAILED_PRECONDITION, reason JOB_NOT_ENDED; else as Get.
  absl::Status Delete(std::string_view name, std::string_view etag = {}, std::string_view by = {});
  // Goes on with deletions that an earlier server began; the first error of all.
  absl::Status FinishDeletions();

  // As JobStore::ReadEvents; INVALID_ARGUMENT for a malformed name.
  absl::StatusOr<EventPage> ReadEvents(std::string_view name, const EventQuery& query);

  // Told of every new event and every change of progress of the job (see JobEvents::Subscribe).
  [[nodiscard]] JobEvents::Subscription Watch(std::string_view name, JobEvents::Callback on_change);
  // None: the job does not run.
  std::optional<Progress> LiveProgress(std::string_view name) const;

  // Jobs that wait or run.
  int active_jobs() const;
  std::vector<BackendUse> Backends() const;

 private:
  absl::StatusOr<JobRecord> CreateStored(const JobRequest& request, std::string_view request_id,
                                         const Asker& asker);
  void LogCreated(const JobRecord& job) const;
  absl::Status RemoveFiles(const JobRecord& job);
  absl::StatusOr<JobRecord> Check(const JobRequest& request, const std::string& id,
                                  const std::stop_token& stop);

  const Parts parts_;
};

}  // namespace seedlm::server
