#include "server/rpc/artifact_rpc.h"

#include "server/rpc/artifact_conversion.h"
#include "server/rpc/cancellable_call.h"
#include "server/rpc/download_reactor.h"
#include "server/rpc/job_conversion.h"
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
                                                     const v1::ListArtifactsRequest* request,
                                                     v1::ListArtifactsResponse* response) {
  return AnswerOn(pool_, context, [this, request, response] { return List(*request, *response); });
}

absl::Status ArtifactRpc::List(const v1::ListArtifactsRequest& request,
                               v1::ListArtifactsResponse& response) const {
  int size = request.page_size();
  while (true) {
    const absl::StatusOr<ArtifactPage> page = service_.List(size, request.page_token());
    if (!page.ok()) return page.status();
    response.Clear();
    for (const ArtifactRecord& record : page->artifacts) {
      *response.add_artifacts() = ToProto(record);
    }
    response.set_next_page_token(page->next_page_token);
    // A page may be shorter than asked for, but must fit a message.
    if (response.ByteSizeLong() <= kMaxPageBytes || page->artifacts.size() <= 1) {
      return absl::OkStatus();
    }
    size = static_cast<int>(page->artifacts.size() / 2);
  }
}

grpc::ServerUnaryReactor* ArtifactRpc::DeleteArtifact(grpc::CallbackServerContext* context,
                                                      const v1::DeleteArtifactRequest* request,
                                                      google::protobuf::Empty*) {
  return AnswerOn(pool_, context, [this, request] { return service_.Delete(request->name()); });
}

grpc::ServerUnaryReactor* ArtifactRpc::VerifyArtifact(grpc::CallbackServerContext*,
                                                      const v1::VerifyArtifactRequest* request,
                                                      v1::VerifyArtifactResponse* response) {
  return CancellableCall::Start(verify_pool_, [this, request, response](const auto& stop) {
    VerifyRequest wanted{.name = request->name()};
    if (request->has_sample_blocks()) wanted.sample = request->sample_blocks();
    const absl::StatusOr<ArtifactCheck> check = service_.Verify(wanted, stop);
    if (check.ok()) *response = ToProto(*check);
    return check.status();
  });
}

}  // namespace seedlm::server
