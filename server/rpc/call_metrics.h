// Counts every call: method, code, reason, time, bytes of transfers. Handlers know nothing of it.
#pragma once

#include "grpcpp/support/server_interceptor.h"
#include "server/metrics/metrics.h"

namespace seedlm::server {

// For ServerBuilder::experimental().SetInterceptorCreators. `sink` must outlive the server.
class CallMetricsFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallMetricsFactory(MetricSink& sink) : sink_(sink) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;

 private:
  MetricSink& sink_;
};

// Calls of every method that end with a code for which an operator is woken (docker/alerts.yml).
void BeginCallsAtZero(MetricSink& sink);

}  // namespace seedlm::server
