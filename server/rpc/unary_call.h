// Answers a unary rpc from a thread that may wait.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "server/errors/reason.h"
#include "server/rpc/door.h"
#include "server/rpc/guarded.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/work_pool.h"

namespace seedlm::server {

// CANCELLED or DEADLINE_EXCEEDED if nobody waits for the answer any more.
inline absl::Status CheckAwaited(const grpc::CallbackServerContext& context) {
  if (context.deadline() <= std::chrono::system_clock::now()) {
    return absl::DeadlineExceededError("the deadline was over before the server came to it");
  }
  return context.IsCancelled() ? absl::CancelledError("the client has gone") : absl::OkStatus();
}

// What a pool runs for a call: `handler`, which is given the caller, fills the response and returns
// absl::Status, unless the client has given up while it waited its turn. gRPC keeps context,
// request and response until then.
template <class Handler>
std::function<void()> AnswerTask(grpc::CallbackServerContext* context,
                                 grpc::ServerUnaryReactor* reactor, Handler handler,
                                 Caller caller) {
  return [context, reactor, handler = std::move(handler), caller = std::move(caller)] {
    absl::Status status = CheckAwaited(*context);
    if (status.ok()) status = Guarded([&] { return handler(caller); });
    reactor->Finish(ToGrpcStatus(status));
  };
}

inline grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* context,
                                           const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

// Too many calls of a kind wait already.
inline absl::Status ServerBusy() {
  return WithRetryAfter(
      WithReason(absl::ResourceExhaustedError("too many calls of this kind wait: try again soon"),
                 "SERVER_BUSY"),
      std::chrono::seconds(1));
}

// Whom the door does not admit is told so at once, and takes no thread of the pool; so is whoever
// comes when too many wait already: RESOURCE_EXHAUSTED, with a retry hint.
template <class Handler>
grpc::ServerUnaryReactor* AnswerOn(WorkPool& pool, const Door& door, Right right,
                                   grpc::CallbackServerContext* context, Handler handler) {
  absl::StatusOr<Caller> caller = door.Admit(*context, right);
  if (!caller.ok()) return AnswerNow(context, caller.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::string owner = caller->owner;
  if (!pool.TryPost(owner, AnswerTask(context, reactor, std::move(handler), *std::move(caller)))) {
    reactor->Finish(ToGrpcStatus(ServerBusy()));
  }
  return reactor;
}

}  // namespace seedlm::server
