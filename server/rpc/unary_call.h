// Answers a unary rpc from a thread that may wait.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/guarded.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/work_pool.h"

namespace seedlm::server {

// Runs `handler`, which fills the response and returns absl::Status, on `pool`. gRPC keeps request
// and response until then, also when the client has gone.
template <class Handler>
grpc::ServerUnaryReactor* AnswerOn(WorkPool& pool, grpc::CallbackServerContext* context,
                                   Handler handler) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  pool.Post(
      [reactor, handler = std::move(handler)] { reactor->Finish(ToGrpcStatus(Guarded(handler))); });
  return reactor;
}

inline grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* context,
                                           const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace seedlm::server
