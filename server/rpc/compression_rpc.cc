#include "server/rpc/compression_rpc.h"

#include <algorithm>
#include <utility>

#include "server/admission/limits.h"
#include "server/rpc/backend_conversion.h"
#include "server/rpc/cancellable_call.h"
#include "server/rpc/codec_conversion.h"
#include "server/rpc/job_conversion.h"
#include "server/rpc/refused_call.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/unary_call.h"
#include "server/scheduler/policy.h"
#include "server/storage/artifact_store.h"

namespace seedlm::server {
namespace {

absl::Status Answer(const absl::StatusOr<JobRecord>& job, v1::Job& response) {
  if (job.ok()) response = ToProto(*job);
  return job.status();
}

}  // namespace

grpc::ServerUnaryReactor* CompressionRpc::CreateJob(grpc::CallbackServerContext* context,
                                                    const v1::CreateJobRequest* request,
                                                    v1::Job* response) {
  absl::StatusOr<Caller> caller = door_.Admit(*context, Right::kWrite);
  if (!caller.ok()) return AnswerNow(context, caller.status());
  return CancellableCall::Start(planning_pool_, caller->owner, context,
                                [=, this, caller = *caller](const std::stop_token& stop) {
                                  return Create(caller, *context, stop, *request, *response);
                                });
}

absl::Status CompressionRpc::Create(const Caller& caller,
                                    const grpc::CallbackServerContext& context,
                                    const std::stop_token& stop,
                                    const v1::CreateJobRequest& request, v1::Job& response) {
  const absl::StatusOr<JobRequest> job = FromProto(request.job());
  if (!job.ok()) return job.status();
  if (absl::Status status = CheckRequestId(request.request_id()); !status.ok()) return status;
  return Answer(Jobs(caller).Create(*job, request.request_id(), request.validate_only(),
                                    {[&context] { return CheckAwaited(context).ok(); }, stop}),
                response);
}

grpc::ServerUnaryReactor* CompressionRpc::GetJob(grpc::CallbackServerContext* context,
                                                 const v1::GetJobRequest* request,
                                                 v1::Job* response) {
  return AnswerOn(pool_, door_, Right::kRead, context, [=, this](const Caller& caller) {
    return Answer(Jobs(caller).Get(request->name()), *response);
  });
}

grpc::ServerUnaryReactor* CompressionRpc::ListJobs(grpc::CallbackServerContext* context,
                                                   const v1::ListJobsRequest* request,
                                                   v1::ListJobsResponse* response) {
  return AnswerOn(pool_, door_, Right::kRead, context,
                  [=, this](const Caller& caller) { return List(caller, *request, *response); });
}

absl::Status CompressionRpc::List(const Caller& caller, const v1::ListJobsRequest& request,
                                  v1::ListJobsResponse& response) {
  absl::StatusOr<JobQuery> query = FromProto(request);
  if (!query.ok()) return query.status();
  query->max_bytes = kMaxPageBytes;  // before they are all in memory
  while (true) {
    const absl::StatusOr<JobPage> page = Jobs(caller).List(*query);
    if (!page.ok()) return page.status();
    response.Clear();
    for (const JobRecord& job : page->jobs) *response.add_jobs() = ToProto(job);
    response.set_next_page_token(page->next_page_token);
    // Jobs with many patterns: a page may be shorter than asked for, but must fit a message.
    if (response.ByteSizeLong() <= kMaxPageBytes || page->jobs.size() <= 1) return absl::OkStatus();
    query->page_size = static_cast<int>(page->jobs.size() / 2);
  }
}

grpc::ServerUnaryReactor* CompressionRpc::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* request,
                                                    v1::Job* response) {
  return AnswerOn(pool_, door_, Right::kWrite, context, [=, this](const Caller& caller) {
    return Answer(Jobs(caller).Cancel(request->name(), request->etag()), *response);
  });
}

grpc::ServerWriteReactor<v1::JobEvent>* CompressionRpc::WatchJob(
    grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) {
  absl::StatusOr<Caller> caller = door_.Admit(*context, Right::kRead);
  if (!caller.ok()) return new RefusedWrite<v1::JobEvent>(caller.status());
  absl::StatusOr<OwnerGate::Place> place = watches_.Enter(caller->owner);
  if (!place.ok()) return new RefusedWrite<v1::JobEvent>(place.status());
  return WatchReactor::Start(
      {&service_, &pool_, &watchers_, watch_, *std::move(caller), *std::move(place)}, *request);
}

grpc::ServerUnaryReactor* CompressionRpc::GetCapabilities(grpc::CallbackServerContext* context,
                                                          const v1::GetCapabilitiesRequest*,
                                                          v1::Capabilities* response) {
  return AnswerOn(pool_, door_, Right::kRead, context, [this, response](const Caller&) {
    response->set_version(limits_.version);
    for (const v1::Profile profile : AllProfiles()) response->add_profiles(profile);
    for (const BackendUse& use : service_.Backends()) *response->add_backends() = ToProto(use);
    response->set_max_chunk_bytes(kMaxChunkBytes);
    response->set_max_message_bytes(kMaxMessageBytes);
    response->set_max_queued_jobs(limits_.max_active_jobs);
    response->set_shard_bytes(limits_.shard_bytes);
    response->set_max_row_weights(kMaxRowWeights);
    response->set_max_metadata_bytes(limits_.max_metadata_bytes);
    response->set_max_owner_jobs(limits_.max_owner_jobs);
    response->set_max_owner_uploads(limits_.max_owner_uploads);
    response->set_max_owner_bytes(limits_.max_owner_bytes);
    response->set_upload_idle_seconds(limits_.upload_idle_seconds);
    response->set_max_owner_downloads(limits_.max_owner_downloads);
    response->set_max_owner_watches(limits_.max_owner_watches);
    const CheckpointLimits checkpoint;
    response->set_max_tensors(checkpoint.tensors);
    response->set_max_tensor_name_bytes(checkpoint.name_bytes);
    response->set_max_header_bytes(checkpoint.header_bytes);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CompressionRpc::ResumeJob(grpc::CallbackServerContext* context,
                                                    const v1::ResumeJobRequest* request,
                                                    v1::Job* response) {
  return AnswerOn(pool_, door_, Right::kWrite, context, [=, this](const Caller& caller) {
    return Answer(Jobs(caller).Resume(request->name(), request->etag()), *response);
  });
}

grpc::ServerUnaryReactor* CompressionRpc::DeleteJob(grpc::CallbackServerContext* context,
                                                    const v1::DeleteJobRequest* request,
                                                    google::protobuf::Empty*) {
  return AnswerOn(pool_, door_, Right::kWrite, context, [=, this](const Caller& caller) {
    return Jobs(caller).Delete(request->name(), request->etag());
  });
}

}  // namespace seedlm::server
