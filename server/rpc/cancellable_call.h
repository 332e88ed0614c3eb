// Answers a unary rpc that takes long: the work is told when nobody waits for it any more.
#pragma once

#include <functional>
#include <stop_token>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/guarded.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/work_pool.h"

namespace seedlm::server {

// Owns itself until gRPC is done with it, which is after Finish.
class CancellableCall final : public grpc::ServerUnaryReactor {
 public:
  using Handler = std::function<absl::Status(const std::stop_token& stop)>;

  // Runs `handler` on one of the pool's threads, unless the client has given up while it waited its
  // turn; `stop` is requested when the client cancels, its deadline is over or its connection
  // breaks. RESOURCE_EXHAUSTED at once where too many wait.
  static CancellableCall* Start(WorkPool& pool, std::string_view owner,
                                grpc::CallbackServerContext* context, Handler handler) {
    auto* call = new CancellableCall();
    const bool taken = pool.TryPost(owner, [call, context, handler = std::move(handler)] {
      const std::stop_token stop = call->stop_.get_token();
      absl::Status status = CheckAwaited(*context);
      if (stop.stop_requested()) status.Update(absl::CancelledError("the client has gone"));
      if (status.ok()) status = Guarded([&] { return handler(stop); });
      call->Finish(ToGrpcStatus(status));
    });
    if (!taken) call->Finish(ToGrpcStatus(ServerBusy()));
    return call;
  }

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { delete this; }

 private:
  CancellableCall() = default;
  std::stop_source stop_;
};

}  // namespace seedlm::server
