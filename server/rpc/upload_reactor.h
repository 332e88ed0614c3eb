// One WriteArtifact stream: chunk after chunk into the artifact store.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/support/server_callback.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "server/rpc/work_pool.h"
#include "server/storage/artifact_store.h"

namespace seedlm::server {

// Alternates between a read (gRPC's threads) and a chunk (the pool's), so one thread at a time is
// in it and no lock is needed. A cancelled call shows as a read that fails: there is always one to
// come.
class UploadReactor final : public grpc::ServerReadReactor<v1::WriteArtifactRequest> {
 public:
  // Owns itself until gRPC is done with it. `context` and `response` are gRPC's; store and pool
  // must outlive the gRPC server.
  UploadReactor(ArtifactStore& store, WorkPool& pool, grpc::CallbackServerContext* context,
                v1::WriteArtifactResponse* response);

  void OnReadDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  // True: the file is finished.
  absl::StatusOr<bool> TakeChunk();
  absl::Status OpenFile();
  absl::Status Broken() const;  // why a stream without `finish` ended
  void FinishWith(const absl::Status& status);

  ArtifactStore& store_;
  WorkPool& pool_;
  grpc::CallbackServerContext* const context_;
  v1::WriteArtifactResponse* const response_;
  v1::WriteArtifactRequest request_;
  std::string resource_name_;
  std::optional<Upload> upload_;  // once the first message is there
};

}  // namespace seedlm::server
