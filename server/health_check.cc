#include "server/health_check.h"

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "server/auth/tls_files.h"
#include "server/listen_address.h"

namespace seedlm::server {

namespace {

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(const HealthCheck& check) {
  if (check.ca.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  for (const auto& [path, content] : {std::pair(&check.ca, &options.pem_root_certs),
                                      std::pair(&check.certificate, &options.pem_cert_chain),
                                      std::pair(&check.key, &options.pem_private_key)}) {
    if (path->empty()) continue;
    auto read = ReadPemFile(*path);
    if (!read.ok()) return read.status();
    *content = *std::move(read);
  }
  return grpc::SslCredentials(options);
}

}  // namespace

absl::Status CheckHealth(const HealthCheck& check) {
  namespace health = ::grpc::health::v1;
  const std::string& address = check.address;
  if (absl::Status status = ParseListenAddress(address).status(); !status.ok()) return status;
  const auto credentials = CredentialsOf(check);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto channel = grpc::CreateCustomChannel(address, *credentials, arguments);
  const auto stub = health::Health::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + check.timeout);
  health::HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, {}, &response);
  if (!status.ok()) {
    const bool may_be_tls = check.ca.empty() && !address.starts_with("unix:") &&
                            absl::EndsWith(status.error_message(), "Socket closed");
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                        absl::StrCat(address, ": ", status.error_message(),
                                     may_be_tls ? "; if it speaks TLS, give --tls-ca" : ""));
  }
  if (response.status() != health::HealthCheckResponse::SERVING) {
    return absl::UnavailableError(absl::StrCat(
        address, ": ", health::HealthCheckResponse::ServingStatus_Name(response.status())));
  }
  return absl::OkStatus();
}

}  // namespace seedlm::server
