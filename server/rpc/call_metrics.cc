#include "server/rpc/call_metrics.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/server_context.h"
#include "seedlm/v1/artifact_service.pb.h"
#include "seedlm/v1/compression_service.pb.h"

namespace seedlm::server {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;
using std::chrono::steady_clock;

constexpr std::string_view kWrite = "WriteArtifact";
constexpr std::string_view kRead = "ReadArtifact";

// ErrorInfo.reason of a status; the code where it has none.
std::string ReasonOf(const grpc::Status& status, const std::string& code) {
  google::rpc::Status proto;
  if (!proto.ParseFromString(status.error_details())) return code;
  for (const auto& detail : proto.details()) {
    google::rpc::ErrorInfo info;
    if (detail.UnpackTo(&info) && !info.reason().empty()) return info.reason();
  }
  return code;
}

// One call. gRPC owns it and calls it on one thread at a time.
class CallMetrics final : public grpc::experimental::Interceptor {
 public:
  CallMetrics(MetricSink& sink, const OnEndedCall& failed, const OwnerOfCall& owner_of,
              grpc::experimental::ServerRpcInfo* info, std::string_view method)
      : sink_(sink),
        failed_(failed),
        owner_of_(owner_of),
        info_(info),
        method_(method),
        begin_(steady_clock::now()) {
    sink_.Add(Metric::kRpcInFlight, {method_}, 1);
  }
  ~CallMetrics() override {
    if (!answered_) Answered(grpc::Status(grpc::StatusCode::CANCELLED, ""));
    sink_.Add(Metric::kRpcInFlight, {method_}, -1);
  }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (method_ == kWrite &&
        methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      const auto* message = static_cast<const v1::WriteArtifactRequest*>(methods->GetRecvMessage());
      if (message != nullptr) Count(Metric::kUploadReceivedBytes, message->data().size());
    }
    if (method_ == kRead &&
        methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      const auto* message = static_cast<const v1::ReadArtifactResponse*>(methods->GetSendMessage());
      if (message != nullptr) Count(Metric::kDownloadSentBytes, message->data().size());
    }
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      Answered(status);
      if (!status.ok()) Tell(status);
    }
    methods->Proceed();
  }

 private:
  void Count(Metric metric, size_t bytes) { sink_.Add(metric, {}, static_cast<double>(bytes)); }

  void Answered(const grpc::Status& status) {
    if (answered_) return;
    answered_ = true;
    const std::chrono::duration<double> seconds = steady_clock::now() - begin_;
    const std::string code =
        absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code()));
    sink_.Add(Metric::kRpcCalls, {method_, code}, 1);
    sink_.Observe(Metric::kRpcSeconds, {method_}, seconds.count());
    if (!status.ok()) sink_.Add(Metric::kRpcErrors, {method_, ReasonOf(status, code)}, 1);
  }

  // gRPC's own errors have no details, and are of what the client sent.
  void Tell(const grpc::Status& status) {
    if (status.error_details().empty()) return;
    const auto code = static_cast<absl::StatusCode>(status.error_code());
    failed_({std::string(method_), info_->server_context()->peer(), code,
             ReasonOf(status, absl::StatusCodeToString(code)), status.error_message(),
             owner_of_(*info_->server_context())});
  }

  MetricSink& sink_;
  const OnEndedCall& failed_;
  const OwnerOfCall& owner_of_;
  grpc::experimental::ServerRpcInfo* const info_;  // gRPC's, for as long as this
  const std::string_view method_;                  // of the descriptor, which lives for ever
  const steady_clock::time_point begin_;
  bool answered_ = false;
};

}  // namespace

void BeginCallsAtZero(MetricSink& sink) {
  // By their files, which the linker keeps then, and not by names in a pool that may lack them.
  for (const auto* file : {v1::CreateJobRequest::descriptor()->file(),
                           v1::WriteArtifactRequest::descriptor()->file()}) {
    const google::protobuf::ServiceDescriptor* service = file->service(0);
    for (int i = 0; i < service->method_count(); ++i) {
      for (const char* code : {"INTERNAL", "UNKNOWN"}) {
        sink.Add(Metric::kRpcCalls, {service->method(i)->name(), code}, 0);
      }
    }
  }
}

grpc::experimental::Interceptor* CallMetricsFactory::CreateServerInterceptor(
    grpc::experimental::ServerRpcInfo* info) {
  if (info->method() == nullptr) return nullptr;
  std::string name = info->method();  // "/seedlm.v1.CompressionService/GetJob"
  if (name.starts_with('/')) name.erase(0, 1);
  std::replace(name.begin(), name.end(), '/', '.');
  // Only methods that exist: a name that a client made up would be a series for ever.
  const auto* method = google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name);
  if (method == nullptr) return nullptr;
  return new CallMetrics(sink_, failed_, owner_of_, info, method->name());
}

}  // namespace seedlm::server
