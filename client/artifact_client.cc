#include "client/artifact_client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/rpc_status.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"

namespace seedlm::client {
namespace {

constexpr char kPrefix[] = "artifacts/";
constexpr std::chrono::milliseconds kAnswer{60'000};
constexpr std::chrono::milliseconds kNoDeadline{0};

}  // namespace

struct ArtifactClient::Stub {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::ArtifactService::Stub> service;
};

ArtifactClient::ArtifactClient(std::shared_ptr<grpc::Channel> channel, std::string address)
    : stub_(std::make_unique<Stub>(Stub{channel, v1::ArtifactService::NewStub(channel)})),
      address_(std::move(address)) {}

ArtifactClient::~ArtifactClient() = default;

template <typename Invoke>
absl::Status ArtifactClient::Call(std::chrono::milliseconds deadline, const std::stop_token& stop,
                                  const Invoke& invoke) {
  return Retry(retry_, *stub_->channel, stop, [&] {
    grpc::ClientContext context;
    if (deadline != kNoDeadline) {
      context.set_deadline(std::chrono::system_clock::now() + deadline);
    }
    const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
    const absl::Status status = FromRpc(invoke(&context), address_);
    return !status.ok() && stop.stop_requested() ? absl::CancelledError("interrupted; run it again")
                                                 : status;
  });
}

absl::StatusOr<std::vector<v1::Artifact>> ArtifactClient::List(const std::stop_token& stop) {
  std::vector<v1::Artifact> all;
  v1::ListArtifactsRequest request;
  do {
    v1::ListArtifactsResponse page;
    const absl::Status status = Call(kAnswer, stop, [&](grpc::ClientContext* context) {
      return stub_->service->ListArtifacts(context, request, &page);
    });
    if (!status.ok()) return status;
    for (v1::Artifact& artifact : *page.mutable_artifacts()) all.push_back(std::move(artifact));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::Status ArtifactClient::Delete(const std::string& name, const std::stop_token& stop) {
  v1::DeleteArtifactRequest request;
  request.set_name(name);
  return Call(kAnswer, stop, [&](grpc::ClientContext* context) {
    google::protobuf::Empty empty;
    return stub_->service->DeleteArtifact(context, request, &empty);
  });
}

absl::StatusOr<v1::VerifyArtifactResponse> ArtifactClient::Verify(
    const v1::VerifyArtifactRequest& request, const std::stop_token& stop) {
  v1::VerifyArtifactResponse response;
  const absl::Status status = Call(kNoDeadline, stop, [&](grpc::ClientContext* context) {
    return stub_->service->VerifyArtifact(context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

std::string ArtifactName(const std::string& given) {
  return absl::StartsWith(given, kPrefix) ? given : absl::StrCat(kPrefix, given);
}

}  // namespace seedlm::client
