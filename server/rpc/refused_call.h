// A stream that ends before it begins: the caller is not let in.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::server {

// Own themselves until gRPC is done with them.
template <class Request>
class RefusedRead final : public grpc::ServerReadReactor<Request> {
 public:
  explicit RefusedRead(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};

template <class Response>
class RefusedWrite final : public grpc::ServerWriteReactor<Response> {
 public:
  explicit RefusedWrite(const absl::Status& status) { this->Finish(ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};

}  // namespace seedlm::server
