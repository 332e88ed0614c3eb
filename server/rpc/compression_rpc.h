// seedlm.v1.CompressionService on the job service. The proto's comments are the contract.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "grpcpp/support/server_callback.h"
#include "seedlm/v1/compression_service.grpc.pb.h"
#include "server/admission/owner_gate.h"
#include "server/rpc/door.h"
#include "server/rpc/owned_jobs.h"
#include "server/rpc/watch_reactor.h"
#include "server/rpc/work_pool.h"
#include "server/scheduler/job_service.h"

namespace seedlm::server {

// What GetCapabilities says beside the backends.
struct ServiceLimits {
  std::string version;
  int max_active_jobs = 0;
  int64_t shard_bytes = 0;
  int64_t max_metadata_bytes = 0;
  int max_owner_jobs = 0;
  int max_owner_uploads = 0;
  int max_owner_downloads = 0;
  int max_owner_watches = 0;
  int64_t max_owner_bytes = 0;
  double upload_idle_seconds = 0;
};

// Thread-safe. Service, pools and gate must outlive the gRPC server.
class CompressionRpc final : public v1::CompressionService::CallbackService {
 public:
  // `planning_pool`: for CreateJob alone, which reads headers, so that it does not hold up calls
  // that only ask the store. `watches`: how many WatchJob streams there may be.
  CompressionRpc(const Door& door, JobService& service, WorkPool& pool, WorkPool& planning_pool,
                 OwnerGate& watches, ServiceLimits limits, WatchOptions watch)
      : door_(door),
        service_(service),
        pool_(pool),
        planning_pool_(planning_pool),
        watches_(watches),
        limits_(std::move(limits)),
        watch_(watch) {}

  // Ends the WatchJob streams and those that come with UNAVAILABLE: the server stops.
  void Drain() { watchers_.Close(); }

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context,
                                      const v1::CreateJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchJob(grpc::CallbackServerContext* context,
                                                   const v1::WatchJobRequest* request) override;
  grpc::ServerUnaryReactor* GetCapabilities(grpc::CallbackServerContext* context,
                                            const v1::GetCapabilitiesRequest* request,
                                            v1::Capabilities* response) override;
  grpc::ServerUnaryReactor* ResumeJob(grpc::CallbackServerContext* context,
                                      const v1::ResumeJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* context,
                                      const v1::DeleteJobRequest* request,
                                      google::protobuf::Empty* response) override;

 private:
  OwnedJobs Jobs(const Caller& caller) const { return {service_, caller}; }
  absl::Status Create(const Caller& caller, const grpc::CallbackServerContext& context,
                      const std::stop_token& stop, const v1::CreateJobRequest& request,
                      v1::Job& response);
  absl::Status List(const Caller& caller, const v1::ListJobsRequest& request,
                    v1::ListJobsResponse& response);

  const Door& door_;
  JobService& service_;
  WorkPool& pool_;
  WorkPool& planning_pool_;
  OwnerGate& watches_;
  const ServiceLimits limits_;
  const WatchOptions watch_;
  WatcherSet watchers_;
};

}  // namespace seedlm::server
