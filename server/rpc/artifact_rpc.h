// seedlm.v1.ArtifactService on the artifact store. The proto's comments are the contract.
#pragma once

#include "grpcpp/support/server_callback.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "server/rpc/work_pool.h"
#include "server/storage/artifact_store.h"

namespace seedlm::server {

// Thread-safe. Store and pool must outlive the gRPC server.
class ArtifactRpc final : public v1::ArtifactService::CallbackService {
 public:
  ArtifactRpc(ArtifactStore& store, WorkPool& pool) : store_(store), pool_(pool) {}

  grpc::ServerReadReactor<v1::WriteArtifactRequest>* WriteArtifact(
      grpc::CallbackServerContext* context, v1::WriteArtifactResponse* response) override;
  grpc::ServerUnaryReactor* QueryWriteStatus(grpc::CallbackServerContext* context,
                                             const v1::QueryWriteStatusRequest* request,
                                             v1::QueryWriteStatusResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadArtifactResponse>* ReadArtifact(
      grpc::CallbackServerContext* context, const v1::ReadArtifactRequest* request) override;

  // Not in this version.
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
  ArtifactStore& store_;
  WorkPool& pool_;
};

}  // namespace seedlm::server
