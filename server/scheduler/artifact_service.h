// What the rpc layer calls: artifacts as clients see them, without gRPC types. Uploads and
// downloads go to the ArtifactStore directly.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/verify/packed_checkpoint.h"
#include "kernels/verify/verifier.h"
#include "server/jobs/job.h"
#include "server/jobs/job_store.h"
#include "server/scheduler/checkpoint_source.h"
#include "server/storage/artifact_stores.h"

namespace spdlog {
class logger;
}

namespace seedlm::server {

struct ArtifactRecord {
  std::string name;               // "artifacts/ID"
  std::vector<OutputFile> files;  // finished ones, by path; sums of results only
  int64_t arriving_files = 0;     // uploads that are not finished
  int64_t arriving_bytes = 0;
  std::string job;             // "jobs/ID" that made it; empty: it was uploaded
  std::string owner;           // empty on a server without tokens
  int64_t create_time_ns = 0;  // the end of its job; of an upload, when its last byte came
};

struct ArtifactPage {
  std::vector<ArtifactRecord> artifacts;  // by owner and id
  std::string next_page_token;            // empty on the last page
};

struct ArtifactCheck {
  std::vector<verify::TensorCheck> tensors;  // empty unless compared
  double relative_error = 0;                 // of all of them
  int64_t passed_through =
      0;                     // tensors that were not compressed and are byte for byte the source's
  int64_t files_summed = 0;  // whose SHA-256 was compared with what the job recorded
  std::string why_not_compared;       // empty: the source was still there, and the same
  std::vector<std::string> problems;  // each names tensor, row and block, or file; empty: it passed
};

struct VerifyRequest {
  std::string name;
  int sample = 4;  // blocks of each tensor that are encoded again by the reference, 0 .. kMaxSample
};
inline constexpr int kMaxSample = 10'000;

// Thread-safe. Methods block for file and database I/O. `owner`: whose artifacts are meant; those
// of others are NOT_FOUND.
class ArtifactService {
 public:
  // All must outlive the service.
  struct Parts {
    ArtifactStores* artifacts = nullptr;
    JobStore* jobs = nullptr;
    const SourceLocator* locator = nullptr;
    std::shared_ptr<spdlog::logger> log{};  // may be null
    int threads = 0;                        // of Verify; 0: one for each core
  };
  explicit ArtifactService(Parts parts) : parts_(std::move(parts)) {}

  // `owner`: none: of all owners. `page_size`: as JobQuery. `page_token`: the next_page_token
  // before, of the same owner or all; INVALID_ARGUMENT for another.
  absl::StatusOr<ArtifactPage> List(const std::optional<std::string>& owner, int page_size,
                                    std::string_view page_token);

  // Errors: INVALID_ARGUMENT (malformed), NOT_FOUND, FAILED_PRECONDITION (ARTIFACT_IN_USE: a job
  // needs it, see JobStore::NeededBy), ABORTED (UPLOAD_BUSY).
  // `by`: who asks, for the log.
  absl::Status Delete(std::string_view owner, std::string_view name, std::string_view by = {});

  // Deletes the uploads of all owners, finished or not, of which nothing has come after `time_ns`.
  // What a job needs, or a stream is writing into, stays for now; results are their jobs'. The
  // first error; the others are tried all the same, and all again the next time.
  absl::Status DeleteUploadsBefore(int64_t time_ns);

  // Sums the files, decodes every tensor, compares with the job's source if that is still there and
  // its files are those that the job read (by size, time of modification and inode),
  // and encodes a sample of blocks again. Minutes for gigabytes, on Parts::threads; ends soon after
  // `stop`, CANCELLED. What is wrong with the artifact is in the answer and no error. Errors:
  // INVALID_ARGUMENT (malformed), NOT_FOUND, FAILED_PRECONDITION (still arriving, or no compressed
  // checkpoint).
  absl::StatusOr<ArtifactCheck> Verify(std::string_view owner, const VerifyRequest& request,
                                       const std::stop_token& stop);

 private:
  absl::StatusOr<ArtifactCheck> Check(std::string_view owner, const VerifyRequest& request,
                                      const std::stop_token& stop);
  absl::StatusOr<ArtifactRecord> Describe(std::string_view owner, const std::string& id);
  absl::Status DeleteUploadBefore(std::string_view owner, const std::string& id, int64_t time_ns);
  // Why `source` is not what the job has compressed; "": it is.
  absl::StatusOr<std::string> WhyAnother(const JobRecord& job,
                                         const format::Checkpoint& source) const;
  absl::Status Compare(const JobRecord& job, const verify::PackedCheckpoint& packed, int sample,
                       const std::stop_token& stop, ArtifactCheck& check) const;

  const Parts parts_;
};

}  // namespace seedlm::server
