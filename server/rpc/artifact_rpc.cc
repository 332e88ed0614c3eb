#include "server/rpc/artifact_rpc.h"

#include <optional>
#include <string>
#include <utility>

#include "server/rpc/artifact_conversion.h"
#include "server/rpc/cancellable_call.h"
#include "server/rpc/download_reactor.h"
#include "server/rpc/job_conversion.h"
#include "server/rpc/refused_call.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/upload_reactor.h"

namespace seedlm::server {

// An admin reads and deletes what anybody has; to everybody else the names of others are unknown.
std::string ArtifactRpc::OwnerOf(const Caller& caller, std::string_view id) const {
  if (caller.role != Role::kAdmin) return caller.owner;
  return parts_.stores->Holder(id, caller.owner).value_or(caller.owner);
}

grpc::ServerReadReactor<v1::WriteArtifactRequest>* ArtifactRpc::WriteArtifact(
    grpc::CallbackServerContext* context, v1::WriteArtifactResponse* response) {
  const absl::StatusOr<Caller> caller = parts_.door->Admit(*context, Right::kWrite);
  if (!caller.ok()) return new RefusedRead<v1::WriteArtifactRequest>(caller.status());
  absl::StatusOr<OwnerGate::Place> place = parts_.uploads->Enter(caller->owner);
  if (!place.ok()) return new RefusedRead<v1::WriteArtifactRequest>(place.status());
  return new UploadReactor({&parts_.stores->Of(caller->owner), parts_.pool, *std::move(place),
                            parts_.upload_idle, parts_.finish_pool, caller->owner},
                           context, response);
}

grpc::ServerUnaryReactor* ArtifactRpc::QueryWriteStatus(grpc::CallbackServerContext* context,
                                                        const v1::QueryWriteStatusRequest* request,
                                                        v1::QueryWriteStatusResponse* response) {
  return AnswerOn(
      *parts_.pool, *parts_.door, Right::kRead, context, [=, this](const Caller& caller) {
        const absl::StatusOr<ArtifactFile> file = ParseArtifactFileName(request->resource_name());
        if (!file.ok()) return file.status();
        const absl::StatusOr<WriteStatus> written =
            parts_.stores->Of(caller.owner).QueryWriteStatus(*file);
        if (!written.ok()) return written.status();
        response->set_committed_size(written->committed_size);
        response->set_complete(written->complete);
        return absl::OkStatus();
      });
}

grpc::ServerWriteReactor<v1::ReadArtifactResponse>* ArtifactRpc::ReadArtifact(
    grpc::CallbackServerContext* context, const v1::ReadArtifactRequest* request) {
  const absl::StatusOr<Caller> caller = parts_.door->Admit(*context, Right::kRead);
  if (!caller.ok()) return new RefusedWrite<v1::ReadArtifactResponse>(caller.status());
  absl::StatusOr<OwnerGate::Place> place = parts_.downloads->Enter(caller->owner);
  if (!place.ok()) return new RefusedWrite<v1::ReadArtifactResponse>(place.status());
  return new DownloadReactor(
      [this, caller = *caller](const ArtifactFile& file) -> const ArtifactStore& {
        return parts_.stores->Of(OwnerOf(caller, file.id));
      },
      *parts_.pool, *std::move(place), request);
}

grpc::ServerUnaryReactor* ArtifactRpc::ListArtifacts(grpc::CallbackServerContext* context,
                                                     const v1::ListArtifactsRequest* request,
                                                     v1::ListArtifactsResponse* response) {
  return AnswerOn(*parts_.pool, *parts_.door, Right::kRead, context,
                  [=, this](const Caller& caller) { return List(caller, *request, *response); });
}

absl::Status ArtifactRpc::List(const Caller& caller, const v1::ListArtifactsRequest& request,
                               v1::ListArtifactsResponse& response) const {
  std::optional<std::string> owner;  // an admin sees all, as of jobs
  if (caller.role != Role::kAdmin) owner = caller.owner;
  int size = request.page_size();
  while (true) {
    const absl::StatusOr<ArtifactPage> page =
        parts_.service->List(owner, size, request.page_token());
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
  return AnswerOn(
      *parts_.pool, *parts_.door, Right::kWrite, context, [=, this](const Caller& caller) {
        const absl::StatusOr<std::string> id = ParseArtifactName(request->name(), "name");
        if (!id.ok()) return id.status();
        return parts_.service->Delete(OwnerOf(caller, *id), request->name(), caller.owner);
      });
}

grpc::ServerUnaryReactor* ArtifactRpc::VerifyArtifact(grpc::CallbackServerContext* context,
                                                      const v1::VerifyArtifactRequest* request,
                                                      v1::VerifyArtifactResponse* response) {
  const absl::StatusOr<Caller> caller = parts_.door->Admit(*context, Right::kRead);
  if (!caller.ok()) return AnswerNow(context, caller.status());
  const auto verify = [=, this, caller = *caller](const std::stop_token& stop) {
    const absl::StatusOr<std::string> id = ParseArtifactName(request->name(), "name");
    if (!id.ok()) return id.status();
    VerifyRequest wanted{.name = request->name()};
    if (request->has_sample_blocks()) wanted.sample = request->sample_blocks();
    const absl::StatusOr<ArtifactCheck> check =
        parts_.service->Verify(OwnerOf(caller, *id), wanted, stop);
    if (check.ok()) *response = ToProto(*check);
    return check.status();
  };
  return CancellableCall::Start(*parts_.verify_pool, caller->owner, context, verify);
}

}  // namespace seedlm::server
