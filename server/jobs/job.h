// A compression job as the server knows it: plain data, no wire types.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/codec/profile.h"

namespace seedlm::server {

// Unix time in nanoseconds. Passed in wherever time matters, so that tests own it.
using Clock = std::function<int64_t()>;

// Values are stored in the database: never renumber.
enum class JobState : uint8_t {
  kQueued = 1,
  kRunning = 2,
  kSucceeded = 3,
  kFailed = 4,
  kCancelled = 5,
};

std::string_view Name(JobState state);  // "QUEUED"
constexpr bool HasEnded(JobState state) { return state >= JobState::kSucceeded; }

// Which changes of state exist. Forward only, but for RUNNING -> QUEUED, as the server that ran the
// job ended before it did, and FAILED or CANCELLED -> QUEUED, as the job is resumed.
bool CanMove(JobState from, JobState to);

// Exactly one of the two is set.
struct JobSource {
  std::string artifact;  // "artifacts/ID"
  std::string uri;       // "file:///PATH"
};

// Exactly one of `managed` and `uri` is set.
struct JobDestination {
  bool managed = false;
  std::string uri;  // "file:///PATH", "s3://BUCKET/PREFIX"
  bool overwrite = false;

  bool at_s3() const { return uri.starts_with("s3://"); }
};

struct JobSpec {
  codec::Profile profile = codec::k4bit;
  codec::Fit fit = codec::Fit::kOptimal;
  codec::ScaleRule scale = codec::ScaleRule::kFitted;
  std::vector<std::string> include;  // patterns as in format::CompressionOptions
  std::vector<std::string> exclude;
  std::vector<std::string> skip;  // from overrides: as exclude
  std::string backend = "auto";   // or a name of the registry
};

// What a client asks for, and who it is.
struct JobRequest {
  std::string owner;  // whose job it is; empty where the server knows no owners
  JobSource source;
  JobDestination destination;
  JobSpec spec;
  int priority = 0;  // higher runs first
  std::map<std::string, std::string> labels;
};

struct SkippedTensor {
  std::string name;
  std::string reason;
};

// Made from headers alone. Bytes are exact, but for scratch_bytes (of files beyond the output's
// safetensors files, blocks of the file system that are not full, at most) and memory: see
// scheduler/estimate.h.
struct Estimate {
  int64_t weights = 0;
  int64_t input_bytes = 0;
  int64_t output_bytes = 0;
  int64_t scratch_bytes = 0;
  double seconds = 0;  // 0: unknown
  double bits_per_weight = 0;
  std::vector<SkippedTensor> skipped;  // at most kMaxSkipped, in file order
  int64_t skipped_count = 0;           // all of them
  int64_t copied_bytes = 0;            // of the output's other files: copied, or rewritten
  int64_t copied_files = 0;
  int64_t memory_bytes = 0;  // 0: unknown, of an earlier version
  int64_t index_bytes = 0;   // beside memory_bytes, of all jobs together
};
inline constexpr size_t kMaxSkipped = 1000;

// What a RUNNING job is doing.
// kCancelling: CancelJob has come, and pieces of work that had begun are on their way to an end.
enum class JobPhase : uint8_t { kNone, kMeasuring, kEncoding, kPublishing, kCancelling };

// Live while a job runs, kept in memory; what it was at the end is stored with the job.
struct Progress {
  int64_t weights_done = 0;
  int64_t weights_total = 0;
  int64_t shards_done = 0;
  int64_t shards_total = 0;
  int64_t bytes_written = 0;
  double weights_per_second = 0;  // of this attempt, since its first shard was begun
  double eta_seconds = 0;         // 0: unknown
  std::string current_tensor;
  int tensors_done = 0;
  int tensors_total = 0;
  JobPhase phase = JobPhase::kNone;
  double phase_fraction = 0;  // of the phase that is done, 0 .. 1
  int64_t weights_kept = 0;   // of weights_done, those that an earlier attempt encoded
};

// Why a job FAILED. `code` is kOk for all other states.
struct JobError {
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string message;
  std::string reason;                          // see errors/reason.h; "" if none
  std::map<std::string, std::string> details;  // what it is about: {"tensor", ..}, {"row", ..}
};

// Whether what a job has sent to an S3 server stays there for another attempt: it goes on by
// itself, or FAILED as that server stayed away, and waits to be resumed or deleted.
bool KeepsUploads(JobState state, const JobError& error);

struct OutputFile {
  std::string path;  // relative
  int64_t size = 0;
  std::string sha256;  // hex
};

struct JobRecord {
  std::string name;  // "jobs/ID"; empty of a job that is not made (validate_only)
  JobRequest request;
  JobState state = JobState::kQueued;
  int attempt = 1;
  int64_t create_time_ns = 0;
  int64_t start_time_ns = 0;  // 0: not started
  int64_t end_time_ns = 0;    // 0: not ended
  Estimate estimate;
  Progress progress;
  JobError error;
  std::string output_artifact;           // "artifacts/ID", managed destinations only
  std::vector<OutputFile> output_files;  // SUCCEEDED only
  std::string etag;                      // changes with every change of the state
  int64_t last_sequence = 0;             // of the last event that this record includes
};

// ---- Events.

struct TensorResult {
  std::string name;
  int64_t rows = 0;
  int64_t columns = 0;
  double relative_error = 0;  // 0 for an all-zero tensor
  double max_error = 0;
  double bits_per_weight = 0;
  double seconds = 0;        // of device time, all shards
  std::string backend;       // "cuda", or "cuda+cpu" where each encoded shards of it
  std::string sha256;        // over the planes packed, level, scale, shape
  double squared_error = 0;  // sums over the weights: what relative_error is made of
  double squared_weights = 0;
  int64_t source_bytes = 0;             // of the tensor in the source
  int64_t packed_bytes = 0;             // of its planes
  std::vector<int64_t> level_blocks{};  // 16: how many blocks use each level; empty: not counted
};

struct StateChange {
  JobState state = JobState::kQueued;
};

struct Warning {
  std::string message;
};

struct JobEvent {
  int64_t sequence = 0;  // 1, 2, .. within a job
  int64_t time_ns = 0;
  std::variant<StateChange, TensorResult, Warning> body;
};

// "jobs/ID" -> "ID". REQUIRES: it is of that form.
inline std::string IdOf(const std::string& job_name) {
  return job_name.substr(job_name.find('/') + 1);
}

// The same of what a client says. INVALID_ARGUMENT if it is not of that form.
absl::StatusOr<std::string> ParseJobName(std::string_view name);

// ABORTED, reason ETAG_MISMATCH: `etag` is not the job's, and is not empty, which any job has.
absl::Status CheckEtag(const JobRecord& job, std::string_view etag);

// NOT_FOUND, also for a job that the caller must not know of.
absl::Status NoSuchJob(std::string_view name);

}  // namespace seedlm::server
