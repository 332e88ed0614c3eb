// One ReadArtifact stream: a finished file in chunks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/support/server_callback.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "server/admission/owner_gate.h"
#include "server/rpc/work_pool.h"
#include "server/storage/artifact_store.h"

namespace seedlm::server {

inline constexpr int64_t kReadChunkBytes = int64_t{1} << 20;

// While a chunk is written (gRPC's threads) the next one is read and summed (the pool's): two
// chunks, never more, and gRPC's copy of the one that is written. A client that takes nothing keeps
// these three, so the place bounds them. A cancelled call shows as a write that fails.
class DownloadReactor final : public grpc::ServerWriteReactor<v1::ReadArtifactResponse> {
 public:
  // Owns itself until gRPC is done with it. `request` is gRPC's and valid until then; the
  // stores and the pool must outlive the gRPC server.
  // `store_of` says in whose store the file is looked for; called on the pool. `place`: among the
  // owner's downloads, until the end.
  using StoreOf = std::function<const ArtifactStore&(const ArtifactFile& file)>;
  DownloadReactor(StoreOf store_of, WorkPool& pool, OwnerGate::Place place,
                  const v1::ReadArtifactRequest* request);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  void PostChunk(v1::ReadArtifactResponse& response);  // to be filled
  void ChunkDone(const absl::StatusOr<bool>& more);
  // Sends the chunk that is there, or ends the stream, if nothing is under way. `lock`: of mutex_,
  // held since the change that it looks at, or two threads would both be the last.
  void GoOn(std::unique_lock<std::mutex> lock);
  // False: the file is at its end. One thread at a time.
  absl::StatusOr<bool> ReadChunk(v1::ReadArtifactResponse& response);
  absl::Status OpenFile();

  const StoreOf store_of_;
  WorkPool& pool_;
  OwnerGate::Place place_;
  const v1::ReadArtifactRequest* const request_;
  std::optional<ArtifactReader> reader_;
  std::array<v1::ReadArtifactResponse, 2> responses_;

  std::mutex mutex_;      // guards all below
  size_t reading_ = 0;    // the response that is being filled, or was
  bool filling_ = true;   // a chunk is on the pool
  bool filled_ = false;   // responses_[reading_] waits to be sent
  bool writing_ = false;  // the other one is under way
  bool ended_ = false;    // no more chunks: end_ says why
  absl::Status end_;
};

}  // namespace seedlm::server
