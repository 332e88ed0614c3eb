// One ReadArtifact stream: a finished file in chunks, one in memory at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/support/server_callback.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "server/rpc/work_pool.h"
#include "server/storage/artifact_store.h"

namespace seedlm::server {

inline constexpr int64_t kReadChunkBytes = int64_t{1} << 20;

// Alternates between a chunk (the pool's threads) and a write (gRPC's), so no lock is needed. A
// cancelled call shows as a write that fails.
class DownloadReactor final : public grpc::ServerWriteReactor<v1::ReadArtifactResponse> {
 public:
  // Owns itself until gRPC is done with it. `request` is gRPC's and valid until then; the
  // stores and the pool must outlive the gRPC server.
  // `store_of` says in whose store the file is looked for; called on the pool.
  using StoreOf = std::function<const ArtifactStore&(const ArtifactFile& file)>;
  DownloadReactor(StoreOf store_of, WorkPool& pool, const v1::ReadArtifactRequest* request);

  void OnWriteDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  void PostNextChunk();
  // False: the file is at its end.
  absl::StatusOr<bool> ReadChunk();
  absl::Status OpenFile();

  const StoreOf store_of_;
  WorkPool& pool_;
  const v1::ReadArtifactRequest* const request_;
  std::optional<ArtifactReader> reader_;
  v1::ReadArtifactResponse response_;
};

}  // namespace seedlm::server
