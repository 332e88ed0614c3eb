// seedlm.v1.ArtifactService on the artifact store. The proto's comments are the contract.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "server/admission/owner_gate.h"
#include "server/rpc/door.h"
#include "server/rpc/turn_pool.h"
#include "server/rpc/work_pool.h"
#include "server/scheduler/artifact_service.h"
#include "server/storage/artifact_stores.h"

namespace seedlm::server {

// Thread-safe. Parts must outlive the gRPC server.
class ArtifactRpc final : public v1::ArtifactService::CallbackService {
 public:
  struct Parts {
    const Door* door = nullptr;
    ArtifactStores* stores = nullptr;
    ArtifactService* service = nullptr;
    WorkPool* pool = nullptr;         // for chunks and short calls
    WorkPool* verify_pool = nullptr;  // for VerifyArtifact, which takes minutes
    OwnerGate* uploads = nullptr;
    OwnerGate* downloads = nullptr;
    std::chrono::milliseconds upload_idle{60'000};
    TurnPool* finish_pool = nullptr;  // for the sums of resumed uploads
  };
  explicit ArtifactRpc(Parts parts) : parts_(parts) {}

  grpc::ServerReadReactor<v1::WriteArtifactRequest>* WriteArtifact(
      grpc::CallbackServerContext* context, v1::WriteArtifactResponse* response) override;
  grpc::ServerUnaryReactor* QueryWriteStatus(grpc::CallbackServerContext* context,
                                             const v1::QueryWriteStatusRequest* request,
                                             v1::QueryWriteStatusResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadArtifactResponse>* ReadArtifact(
      grpc::CallbackServerContext* context, const v1::ReadArtifactRequest* request) override;
  grpc::ServerUnaryReactor* ListArtifacts(grpc::CallbackServerContext* context,
                                          const v1::ListArtifactsRequest* request,
                                          v1::ListArtifactsResponse* response) override;
  grpc::ServerUnaryReactor* DeleteArtifact(grpc::CallbackServerContext* context,
                                           const v1::DeleteArtifactRequest* request,
                                           google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* VerifyArtifact(grpc::CallbackServerContext* context,
                                           const v1::VerifyArtifactRequest* request,
                                           v1::VerifyArtifactResponse* response) override;

 private:
  absl::Status List(const Caller& caller, const v1::ListArtifactsRequest& request,
                    v1::ListArtifactsResponse& response) const;
  // Whose artifact `id` is meant by this caller.
  std::string OwnerOf(const Caller& caller, std::string_view id) const;

  const Parts parts_;
};

}  // namespace seedlm::server
