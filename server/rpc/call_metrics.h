// Counts every call: method, code, reason, time, bytes of transfers; and tells of those that
// failed. Handlers know nothing of it.
#pragma once

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_interceptor.h"
#include "server/metrics/metrics.h"

namespace seedlm::server {

// A call that a handler ended with an error.
struct EndedCall {
  std::string method;  // "GetJob"
  std::string peer;    // as gRPC names it: "ipv4:127.0.0.1:40000"
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string reason;  // ErrorInfo.reason
  std::string message;
  std::string owner = {};  // whose token it had; empty: none, or it is not known
};
using OnEndedCall = std::function<void(const EndedCall& call)>;
// Whose a call is, of EndedCall::owner.
using OwnerOfCall = std::function<std::string(const grpc::ServerContextBase& context)>;

// For ServerBuilder::experimental().SetInterceptorCreators. `sink` must outlive the server.
class CallMetricsFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallMetricsFactory(
      MetricSink& sink, OnEndedCall failed = [](const EndedCall&) {},
      OwnerOfCall owner_of = [](const grpc::ServerContextBase&) { return std::string(); })
      : sink_(sink), failed_(std::move(failed)), owner_of_(std::move(owner_of)) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;

 private:
  MetricSink& sink_;
  const OnEndedCall failed_;
  const OwnerOfCall owner_of_;
};

// Calls of every method that end with a code for which an operator is woken (docker/alerts.yml).
void BeginCallsAtZero(MetricSink& sink);

}  // namespace seedlm::server
