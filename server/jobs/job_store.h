// Where jobs and their events are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/jobs/job.h"
#include "server/jobs/job_work.h"

namespace seedlm::server {

// How a client may send a request twice: the same id with the same body is the same job.
struct RequestKey {
  std::string request_id;  // empty: none; every owner has ids of its own
  std::string body_hash;
  std::string owner = {};
};

struct InsertResult {
  JobRecord job;
  bool created = false;  // false: an earlier request with this key made it
};

struct JobQuery {
  int page_size = 0;       // 0: kDefaultPage; larger than kMaxPage: kMaxPage
  std::string page_token;  // next_page_token of the page before, with the same filters
  // The page ends before its jobs, as text, have more bytes than this, but not before the first; 0:
  // no limit. So a page may be shorter than page_size and not the last.
  size_t max_bytes = 0;
  std::optional<JobState> state;
  std::map<std::string, std::string> labels;  // all of them must be on the job
  std::optional<std::string> owner = {};
};
inline constexpr int kDefaultPage = 50;
inline constexpr int kMaxPage = 1000;

struct JobPage {
  std::vector<JobRecord> jobs;  // newest first; without output_files and estimate.skipped
  std::string next_page_token;  // empty on the last page
};

inline constexpr int kMaxEvents = 1000;

struct EventQuery {
  int64_t after = 0;       // events of a larger sequence
  int limit = kMaxEvents;  // so many of them at most, and not under 1
  // The page ends with the event with which its events, as text, have more bytes than this; 0: no
  // limit.
  size_t max_bytes = 0;
};

struct EventPage {
  std::vector<JobEvent> events;  // ascending
  bool more = false;             // there are later ones
};

// A change of state and what becomes known with it.
struct JobUpdate {
  JobState to = JobState::kQueued;  // kQueued: adds one to the attempt
  Progress progress;
  JobError error;                        // kFailed
  std::vector<OutputFile> output_files;  // kSucceeded
  std::string etag = {};                 // only if the job has it; empty: any
};

// Every change is on disk when the call returns. Thread-safe. Every method may also answer
// INTERNAL, RESOURCE_EXHAUSTED (disk full), UNAVAILABLE (STORE_BUSY: another program has locked it)
// or FAILED_PRECONDITION (STORE_DAMAGED) naming the store.
class JobStore {
 public:
  virtual ~JobStore() = default;

  // Stores `job` (with its name, state QUEUED) and its first event. With a request id that is
  // known: the earlier job if the body is the same, else ALREADY_EXISTS.
  virtual absl::StatusOr<InsertResult> Insert(const JobRecord& job, const RequestKey& key) = 0;

  // The job that an earlier request with this key made, if any. ALREADY_EXISTS: another body.
  virtual absl::StatusOr<std::optional<JobRecord>> FindRequest(const RequestKey& key) = 0;

  // NOT_FOUND. `name`: "jobs/ID".
  virtual absl::StatusOr<JobRecord> Get(std::string_view name) = 0;

  // INVALID_ARGUMENT: a page token that List did not give for these filters, a negative size.
  virtual absl::StatusOr<JobPage> List(const JobQuery& query) = 0;

  // Changes the state and appends its event in one transaction. Sets start and end times.
  // NOT_FOUND; ABORTED as CheckEtag; FAILED_PRECONDITION if CanMove says no.
  virtual absl::StatusOr<JobRecord> Update(std::string_view name, const JobUpdate& update) = 0;

  // Appends a TensorResult or a Warning; returns its sequence. NOT_FOUND.
  virtual absl::StatusOr<int64_t> AppendEvent(std::string_view name,
                                              const std::variant<TensorResult, Warning>& body) = 0;

  // NOT_FOUND; OUT_OF_RANGE if `after` is negative or larger than the job's last sequence.
  virtual absl::StatusOr<EventPage> ReadEvents(std::string_view name, const EventQuery& query) = 0;

  // All jobs that are QUEUED or RUNNING, oldest first.
  virtual absl::StatusOr<std::vector<JobRecord>> Unfinished() = 0;

  // A job of the owner that needs the artifact, if there is one: that reads or makes it and has not
  // ended, or that FAILED or was CANCELLED and has recorded work, with which another attempt would
  // go on.
  virtual absl::StatusOr<std::optional<JobRecord>> NeededBy(std::string_view owner,
                                                            std::string_view artifact) = 0;

  // ---- What a job has finished. Gone when it SUCCEEDED, but for the identity, which tells what
  // its output was made of; kept when it FAILED or was CANCELLED.

  // NOT_FOUND.
  virtual absl::StatusOr<JobWork> ReadWork(std::string_view name) = 0;
  // Forgets what was recorded, and records from now on work of this identity. NOT_FOUND.
  virtual absl::Status BeginWork(std::string_view name, const WorkIdentity& identity) = 0;
  // Adds `batch`, and an event for each tensor that was not recorded as finished before, in one
  // transaction. REQUIRES: BeginWork was called; the bytes of the pieces are on disk. NOT_FOUND.
  virtual absl::Status RecordWork(std::string_view name, const WorkBatch& batch) = 0;
  // Replaces an earlier one. NOT_FOUND.
  virtual absl::Status RecordPublication(std::string_view name, const Publication& publication) = 0;

  // ---- Deletion, in two steps: files can only go in between.

  // Takes the job and all that belongs to it out of the store, but for its record, which
  // Deletions gives until EndDelete. NOT_FOUND; ABORTED as CheckEtag; FAILED_PRECONDITION
  // (JOB_NOT_ENDED).
  virtual absl::StatusOr<JobRecord> BeginDelete(std::string_view name, std::string_view etag) = 0;
  virtual absl::Status EndDelete(std::string_view name) = 0;
  virtual absl::StatusOr<std::vector<JobRecord>> Deletions() = 0;

  // Names of jobs that ended at or before `time_ns`, oldest first, at most `limit`.
  virtual absl::StatusOr<std::vector<std::string>> EndedBefore(int64_t time_ns, int limit) = 0;
};

}  // namespace seedlm::server
