// From a job's words (artifact, URI) to an open checkpoint and a target on disk.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/compression_plan.h"
#include "server/jobs/job.h"
#include "server/storage/artifact_stores.h"
#include "server/storage/checkpoint_sink.h"
#include "server/storage/s3_destination.h"
#include "server/storage/storage_roots.h"

namespace seedlm::server {

// An open checkpoint and what will be made of it. The plan points into the checkpoint: neither is
// moved once made.
struct PlannedJob {
  format::Checkpoint checkpoint;
  format::CompressionPlan plan;
  SinkTarget target;
  std::string artifact;    // the source's name; empty: files of a user's
  OpenCheck check_copied;  // SinkOptions
};

// Immutable, thread-safe. Its parts must outlive it.
class SourceLocator {
 public:
  SourceLocator(ArtifactStores& artifacts, const StorageRoots& roots, const S3Destination& s3)
      : artifacts_(artifacts), roots_(roots), s3_(s3) {}

  // Opens the source, plans, and checks the target; asks the S3 server for an s3:// one. Reads
  // headers only. Where both are wrong, the target's error is told. `id`: of the job. `patience`:
  // with that server.
  // Errors: INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, ALREADY_EXISTS, FAILED_PRECONDITION,
  // UNIMPLEMENTED, UNAVAILABLE (the S3 server), each naming the thing.
  absl::StatusOr<std::unique_ptr<const PlannedJob>> Plan(const JobRequest& request,
                                                         std::string_view id,
                                                         const S3Patience& patience = {}) const;

  // Opens the checkpoint that a job reads: headers only. Errors: as Plan, of the source.
  absl::StatusOr<format::Checkpoint> OpenSource(const JobRequest& request) const;

  // The target alone, without opening the source; for removing what a killed server left.
  // `directory` is not known and stays false.
  absl::StatusOr<SinkTarget> Target(const JobRequest& request, std::string_view id) const;

  [[nodiscard]] std::unique_lock<std::mutex> HoldArtifacts() const { return artifacts_.Hold(); }

  // NOT_FOUND: the artifact that the job reads has gone since it was opened.
  absl::Status CheckSourceStays(const JobRequest& request) const;

  // Whether what the job will write below the data directory, a result or what is staged for S3,
  // has room among its owner's bytes.
  // `resumed`: something of it may be there already. ArtifactStore::CheckRoom.
  absl::Status CheckRoom(const JobRecord& job, bool resumed) const;

  // `text` with names of artifacts, as a client knows them, for the paths that they have here.
  std::string WithoutDataDir(const JobRequest& request, absl::string_view text) const {
    return artifacts_.Of(request.owner).WithoutFolder(text);
  }

  // Keeps others from taking that room, and from uploading to the artifact that the job makes.
  ResultReservation ReserveResult(const JobRecord& job) const;

 private:
  absl::StatusOr<std::string> SourcePath(const JobRequest& request) const;
  absl::Status OfArtifact(const JobRequest& request, const absl::Status& status) const;
  absl::Status CheckLinks(const std::string& directory) const;
  absl::Status CheckConfined(const format::Checkpoint& checkpoint) const;

  ArtifactStores& artifacts_;
  const StorageRoots& roots_;
  const S3Destination& s3_;
};

}  // namespace seedlm::server
