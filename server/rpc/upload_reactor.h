// One WriteArtifact stream: chunk after chunk into the artifact store.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/alarm.h"
#include "grpcpp/support/server_callback.h"
#include "seedlm/v1/artifact_service.grpc.pb.h"
#include "server/admission/owner_gate.h"
#include "server/rpc/work_pool.h"
#include "server/storage/artifact_store.h"

namespace seedlm::server {

// Alternates between a read (gRPC's threads) and a chunk (the pool's), so one thread at a time is
// in it. An alarm looks whether a read takes too long; whoever ends a read, it or gRPC, goes on
// alone. A cancelled call shows as a read that fails: there is always one to come.
class UploadReactor final : public grpc::ServerReadReactor<v1::WriteArtifactRequest> {
 public:
  struct Parts {
    ArtifactStore* store = nullptr;  // store and pool must outlive the gRPC server
    WorkPool* pool = nullptr;
    OwnerGate::Place place = {};        // among the owner's uploads, until the end
    std::chrono::milliseconds idle{0};  // a read may take so long
  };
  // Owns itself until gRPC is done with it. `context` and `response` are gRPC's.
  UploadReactor(Parts parts, grpc::CallbackServerContext* context,
                v1::WriteArtifactResponse* response);

  void OnReadDone(bool ok) override;
  void OnDone() override;

 private:
  using Time = std::chrono::steady_clock::time_point;

  // What the alarm sees. It may ring after the reactor is gone.
  struct Watch {
    std::mutex mutex;
    UploadReactor* reactor = nullptr;  // guarded by mutex; null: it is gone
    bool reading = false;              // guarded by mutex
    Time since{};                      // of the read; guarded by mutex
  };
  static void Look(const std::shared_ptr<Watch>& watch);
  void LookAt(Time time);  // REQUIRES: watch_->mutex is held
  void Read();

  // True: the file is finished.
  absl::StatusOr<bool> TakeChunk();
  absl::Status OpenFile();
  absl::Status Broken() const;  // why a stream without `finish` ended
  absl::Status Idle() const;
  void FinishWith(const absl::Status& status);

  Parts parts_;
  grpc::CallbackServerContext* const context_;
  v1::WriteArtifactResponse* const response_;
  v1::WriteArtifactRequest request_;
  std::string resource_name_;
  std::optional<Upload> upload_;  // once the first message is there
  const std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
  std::unique_ptr<grpc::Alarm> alarm_;  // guarded by watch_->mutex
};

}  // namespace seedlm::server
