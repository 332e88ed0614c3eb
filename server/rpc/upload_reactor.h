// One WriteArtifact stream: chunk after chunk into the artifact store.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
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
#include "server/rpc/turn_pool.h"
#include "server/rpc/work_pool.h"
#include "server/storage/artifact_store.h"

namespace seedlm::server {

// While a chunk is summed and written (the pool's threads) the next one is read (gRPC's): two
// chunks, never more, taken in the order in which they came. An alarm looks whether a read takes
// too long, which is the client's doing: where both chunks wait for the disk, none is out. A
// cancelled call shows as a read that fails: what came before is still written. A resumed file is
// read again when it is finished, which takes minutes: on threads of its own, a step at a time,
// until nobody waits for it.
class UploadReactor final : public grpc::ServerReadReactor<v1::WriteArtifactRequest> {
 public:
  struct Parts {
    ArtifactStore* store = nullptr;  // store and pool must outlive the gRPC server
    WorkPool* pool = nullptr;
    OwnerGate::Place place = {};        // among the owner's uploads, until the end
    std::chrono::milliseconds idle{0};  // a read may take so long
    TurnPool* finish_pool = nullptr;    // sums resumed files; as pool
    std::string owner = {};
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
    std::mutex mutex;                  // also guards what the reactor says it does
    UploadReactor* reactor = nullptr;  // guarded by mutex; null: it is gone
  };
  static void Look(const std::shared_ptr<Watch>& watch);
  void LookAt(Time time);  // REQUIRES: watch_->mutex is held

  // Does what is to be done now: one thread at a time, and the last thing is to finish.
  // REQUIRES: `lock` holds watch_->mutex. Nothing of the reactor may be used afterwards.
  void GoOn(std::unique_lock<std::mutex> lock);
  void TakeOne(v1::WriteArtifactRequest& request);  // on the pool
  void FinishLater(const v1::WriteArtifactRequest& request);
  void Taken(absl::Status status, bool finished);  // the chunk that was on a pool

  // True: the file is finished; false for a closing message: FinishLater goes on. One thread at a
  // time, as the next two.
  absl::StatusOr<bool> TakeChunk(const v1::WriteArtifactRequest& request);
  absl::Status OpenFile(const v1::WriteArtifactRequest& request);
  // REQUIRES: no chunk is being taken.
  absl::Status Broken() const;  // why a stream without `finish` ended
  absl::Status Idle() const;

  Parts parts_;
  grpc::CallbackServerContext* const context_;
  v1::WriteArtifactResponse* const response_;
  std::array<v1::WriteArtifactRequest, 2> requests_;  // in turn
  std::string resource_name_;
  std::optional<Upload> upload_;  // once the first message is there
  const std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();

  // Guarded by watch_->mutex.
  std::unique_ptr<grpc::Alarm> alarm_;
  size_t read_ = 0;       // messages that came
  size_t taken_ = 0;      // of them, those that are done with
  bool acting_ = false;   // a thread is in GoOn
  bool reading_ = false;  // a read is out
  Time since_{};          // of that read
  bool taking_ = false;   // a chunk is on the pool
  bool last_ = false;     // there is nothing more to read
  bool idle_ = false;     // because a read took too long
  bool over_ = false;     // and nothing more to take: status_ says how it ended
  absl::Status status_;
};

}  // namespace seedlm::server
