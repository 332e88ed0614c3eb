// Artifacts: sets of files that clients upload and jobs produce.
//
//   DATA_DIR/uploads/ID/PATH    a file that is still arriving
//   DATA_DIR/artifacts/ID/PATH  a finished file; never changes
//   DATA_DIR/s3/..              outputs of jobs that go to S3, staged: counted here, and no
//   artifacts
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/checksum/background_sha256.h"
#include "kernels/checksum/sha256.h"
#include "server/errors/fault_point.h"
#include "server/storage/artifact_name.h"
#include "server/storage/data_dir.h"
#include "server/storage/tree.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

inline constexpr int64_t kMaxChunkBytes = int64_t{2} << 20;

struct WriteStatus {
  int64_t committed_size = 0;
  bool complete = false;
};

struct ArtifactEntry {
  std::string path;  // relative
  int64_t size = 0;
};

struct ArtifactContent {
  std::string id;
  std::vector<ArtifactEntry> files;  // finished ones, by path
  int64_t arriving_files = 0;        // uploads that are not finished, and what came of them
  int64_t arriving_bytes = 0;
  bool is_result = false;  // of a job
};

class ArtifactStore;

// Keeps the room of a job's output, and the id of a result to the job: nothing can be uploaded
// under it. Movable; must not outlive its store.
class ResultReservation {
 public:
  ResultReservation() = default;  // of nothing
  ResultReservation(ResultReservation&& other) noexcept;
  ResultReservation& operator=(ResultReservation&& other) noexcept;
  ~ResultReservation();

 private:
  friend class ArtifactStore;
  ResultReservation(ArtifactStore* store, std::string id) : store_(store), id_(std::move(id)) {}
  ArtifactStore* store_ = nullptr;
  std::string id_;
};

// One file being uploaded; nobody else can write it meanwhile. Destroyed without Finish, what has
// arrived stays for a later Upload. One thread at a time; must not outlive its store.
class Upload {
 public:
  Upload(Upload&& other) noexcept;
  Upload& operator=(Upload&&) = delete;
  ~Upload();

  int64_t committed_size() const { return size_; }

  // RESOURCE_EXHAUSTED, with both numbers: the disk, or the owner (reason OWNER_BYTES), has no room
  // for so many bytes more. Then a file of which nothing has arrived leaves no trace.
  absl::Status CheckRoom(int64_t bytes) const;

  // Appends a chunk, wholly or not at all. Errors: INVALID_ARGUMENT (over kMaxChunkBytes),
  // OUT_OF_RANGE (`offset` is not the committed size), DATA_LOSS (`crc32c` is not that of the
  // data), RESOURCE_EXHAUSTED (disk full).
  absl::Status Append(int64_t offset, std::string_view data, uint32_t crc32c);

  // Makes the file a finished one, on disk. Errors: INVALID_ARGUMENT (`sha256_hex` is not 64 hex
  // digits: the upload goes on); DATA_LOSS (it is not that of the file: what arrived is thrown
  // away); FAILED_PRECONDITION (the artifact became a job's result meanwhile); RESOURCE_EXHAUSTED.
  // After any but the first the upload is over: nothing else may be
  // called.
  absl::Status Finish(std::string_view sha256_hex);
  // The same in steps: false, and a few MiB of a resumed file have been summed; call it again. The
  // upload may be let go in between: nothing is lost but the sum.
  absl::StatusOr<bool> FinishStep(std::string_view sha256_hex);

 private:
  friend class ArtifactStore;
  Upload() : hash_(std::make_unique<checksum::BackgroundSha256>()) {}
  absl::StatusOr<bool> SumStep();  // true: the whole file is summed
  absl::Status Verify(std::string_view sha256_hex);
  absl::Status Publish();
  void SyncNames() const;
  void Close();

  ArtifactStore* store_ = nullptr;
  ArtifactFile file_;
  UniqueFd fd_;
  int64_t size_ = 0;
  bool resumed_ = false;  // then `hash_` is not that of the file, and Finish reads it again
  std::unique_ptr<checksum::Sha256> again_;  // of its first summed_ bytes, once Finish has begun
  int64_t summed_ = 0;
  std::unique_ptr<checksum::BackgroundSha256> hash_;
};

// One finished file being downloaded. One thread at a time.
class ArtifactReader {
 public:
  int64_t size() const { return size_; }
  int64_t offset() const { return offset_; }  // of the next byte to be read

  // Fills the front of `buffer`; returns the bytes read, 0 at the end. INTERNAL on an I/O error.
  absl::StatusOr<size_t> Read(std::span<char> buffer);

 private:
  friend class ArtifactStore;
  ArtifactReader(std::string path, UniqueFd fd, int64_t size, int64_t offset)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size), offset_(offset) {}
  std::string path_;
  UniqueFd fd_;
  int64_t size_;
  int64_t offset_;
};

// Thread-safe.
class ArtifactStore {
 public:
  // Told of what went wrong but fails nothing, such as a name that may not outlive a power cut.
  using Warn = std::function<void(const std::string& message)>;

  // `max_bytes`: of all files, finished, arriving and staged; 0: no limit.
  // REQUIRES: the directories exist, and nobody else has a store on them.
  explicit ArtifactStore(
      ArtifactFolders folders, Warn warn = [](const std::string&) {},
      SyncFunction sync = format::SyncDirectory, int64_t max_bytes = 0, FaultPoint fault_point = {})
      : folders_(std::move(folders)),
        warn_(std::move(warn)),
        sync_(std::move(sync)),
        max_bytes_(max_bytes),
        fault_point_(std::move(fault_point)),
        place_(PlaceOf(folders_.artifacts())) {}

  // Errors: FAILED_PRECONDITION (the file is finished, or the artifact is a job's result), ABORTED
  // (another upload of this file is open), INVALID_ARGUMENT (a component of the path is a file),
  // RESOURCE_EXHAUSTED.
  absl::StatusOr<Upload> OpenUpload(const ArtifactFile& file);

  // NOT_FOUND: nothing of it has arrived.
  absl::StatusOr<WriteStatus> QueryWriteStatus(const ArtifactFile& file) const;

  // Errors: NOT_FOUND (no such file, or not finished), OUT_OF_RANGE (offset negative or past the
  // end).
  absl::StatusOr<ArtifactReader> OpenRead(const ArtifactFile& file, int64_t offset) const;

  // Where a job finds the checkpoint "artifacts/ID": the one file of an artifact that has a single
  // *.safetensors and nothing else, the artifact's directory otherwise. Errors: NOT_FOUND,
  // INVALID_ARGUMENT (malformed), FAILED_PRECONDITION (a file of it is still arriving; names it).
  absl::StatusOr<std::string> CheckpointPath(std::string_view artifact) const;

  // Ids of artifacts that hold or await a file, ascending, larger than `after`; at most `limit`.
  absl::StatusOr<std::vector<std::string>> ListIds(std::string_view after, size_t limit) const;
  // NOT_FOUND. `id`: as ParseArtifactName gives it, here and in Delete.
  absl::StatusOr<ArtifactContent> Content(std::string_view id) const;
  // Unix time in nanoseconds at which something of it last arrived or was finished. NOT_FOUND.
  absl::StatusOr<int64_t> LastWritten(std::string_view id) const;
  // All of it, finished or arriving. Errors: NOT_FOUND; ABORTED (UPLOAD_BUSY: a stream writes into
  // it); FAILED_PRECONDITION (ARTIFACT_IN_USE: reserved for a job's result). Whether a job reads it
  // is for the caller to know; what keeps jobs from it meanwhile, `held`, is let go once it has its
  // name no more, before its room is made.
  absl::Status Delete(std::string_view id, std::unique_lock<std::mutex> held = {});
  // Makes the room that a killed server's Delete did not come to make. At the start.
  void SweepDeleted() const;

  // RESOURCE_EXHAUSTED, reason OWNER_BYTES, naming the limit: an output of so many bytes more would
  // be over it, with what there is and what is reserved. `id`: of the output, if something of it
  // may be staged already. Files are measured again after 10 s at most, as results are written past
  // the store.
  absl::Status CheckRoom(int64_t bytes, std::string_view id = "");

  // UNAVAILABLE, reason STORE_MISSING: the directory of artifacts is not the one that was there at
  // the construction. A disk that is not mounted any more has lost nobody's artifacts.
  absl::Status CheckHere() const;

  // `text` with "artifacts/ID", "uploads/ID" and "s3/ID" for the paths that they have here.
  std::string WithoutFolder(absl::string_view text) const;

  // Directory of the artifact that a job makes; it does not exist until the job commits it.
  std::string ResultPath(std::string_view id) const;
  // From now on the id is the job's, until the reservation ends; a result that was committed by
  // then has its mark. So long it counts as `bytes`, whatever is written of it. Not counted:
  // reserve an id once at a time.
  ResultReservation ReserveResult(std::string_view id, int64_t bytes);

  // Where the output of the job `id` is staged that goes to S3: SinkTarget::path.
  std::string S3StagingPath(std::string_view id) const;
  // As ReserveResult, for that: the bytes alone, as nothing of it becomes an artifact.
  ResultReservation ReserveRoom(std::string_view id, int64_t bytes);

 private:
  friend class Upload;
  friend class ResultReservation;
  absl::Status CheckNoResult(const ArtifactFile& file) const;  // REQUIRES: mutex_ is held
  std::string FinalPath(const ArtifactFile& file) const;
  std::string PartialPath(const ArtifactFile& file) const;
  void Close(const ArtifactFile& file);
  // CheckRoom, and the bytes count from now on.
  absl::Status Charge(int64_t bytes);
  // REQUIRES of both: usage_mutex_ is held.
  absl::Status CheckRoomLocked(int64_t bytes);
  absl::StatusOr<int64_t> MeasureLocked(std::string_view without) const;

  // What a directory is, whatever its name leads to; zeros: there is none.
  struct Place {
    uint64_t device = 0;
    uint64_t inode = 0;
    bool operator==(const Place&) const = default;
  };
  static Place PlaceOf(const std::string& directory);
  // `absent`, the answer about something that is not here, unless CheckHere says why.
  absl::Status NotHere(absl::Status absent) const;

  const ArtifactFolders folders_;
  const Warn warn_;
  const SyncFunction sync_;
  const int64_t max_bytes_;
  const FaultPoint fault_point_;
  const Place place_;  // of folders_.artifacts(), when the store was made
  std::mutex usage_mutex_;
  int64_t used_bytes_ = 0;                               // guarded by usage_mutex_
  std::map<std::string, int64_t> promised_;              // to outputs, by id; by usage_mutex_
  std::chrono::steady_clock::time_point measured_ = {};  // guarded by usage_mutex_
  mutable std::mutex mutex_;
  std::set<std::string> open_;      // partial paths of open uploads; guarded by mutex_
  std::set<std::string> reserved_;  // ids of results to come; guarded by mutex_
};

}  // namespace seedlm::server
