#include "server/rpc/artifact_rpc.h"

#include "server/rpc/download_reactor.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/upload_reactor.h"

namespace seedlm::server {

grpc::ServerReadReactor<v1::WriteArtifactRequest>* ArtifactRpc::WriteArtifact(
    grpc::CallbackServerContext* context, v1::WriteArtifactResponse* response) {
  return new UploadReactor(store_, pool_, context, response);
}

grpc::ServerUnaryReactor* ArtifactRpc::QueryWriteStatus(grpc::CallbackServerContext* context,
                                                        const v1::QueryWriteStatusRequest* request,
                                                        v1::QueryWriteStatusResponse* response) {
  return AnswerOn(pool_, context, [this, request, response] {
    const absl::StatusOr<ArtifactFile> file = ParseArtifactFileName(request->resource_name());
    if (!file.ok()) return file.status();
    const absl::StatusOr<WriteStatus> written = store_.QueryWriteStatus(*file);
    if (!written.ok()) return written.status();
    response->set_committed_size(written->committed_size);
    response->set_complete(written->complete);
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<v1::ReadArtifactResponse>* ArtifactRpc::ReadArtifact(
    grpc::CallbackServerContext*, const v1::ReadArtifactRequest* request) {
  return new DownloadReactor(store_, pool_, request);
}

grpc::ServerUnaryReactor* ArtifactRpc::ListArtifacts(grpc::CallbackServerContext* context,
                                                     const v1::ListArtifactsRequest*,
                                                     v1::ListArtifactsResponse*) {
  return AnswerNow(context, MethodUnimplemented("ListArtifacts",
                                                "Job.output_files lists the files of a result"));
}

grpc::ServerUnaryReactor* ArtifactRpc::DeleteArtifact(grpc::CallbackServerContext* context,
                                                      const v1::DeleteArtifactRequest*,
                                                      google::protobuf::Empty*) {
  return AnswerNow(context, MethodUnimplemented(
                                "DeleteArtifact",
                                "stop the server and remove the directory below its --data-dir"));
}

grpc::ServerUnaryReactor* ArtifactRpc::VerifyArtifact(grpc::CallbackServerContext* context,
                                                      const v1::VerifyArtifactRequest*,
                                                      v1::VerifyArtifactResponse*) {
  return AnswerNow(context,
                   MethodUnimplemented("VerifyArtifact", "`seedlm verify` does it on the client"));
}

}  // namespace seedlm::server
