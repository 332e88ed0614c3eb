#include "server/rpc/status_mapping.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "google/rpc/error_details.pb.h"
#include "kernels/format/utf8.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

// The message goes out twice, once percent-encoded (up to three bytes for one) and once within the
// details, which are in base64. With these limits all stays under the 8 KiB that peers accept.
constexpr size_t kMaxTextBytes = 1024;
constexpr size_t kMaxKeyBytes = 64;
constexpr size_t kMaxValueBytes = 192;
constexpr size_t kMaxDetails = 6;
constexpr std::chrono::milliseconds kDefaultRetry{1000};

std::optional<std::chrono::milliseconds> RetryDelay(const absl::Status& status) {
  if (const auto hint = RetryAfterOf(status)) return hint;
  if (absl::IsUnavailable(status)) return kDefaultRetry;
  return std::nullopt;
}

}  // namespace

std::string ValidUtf8(std::string_view text, size_t limit) {
  std::string valid;
  valid.reserve(std::min(text.size(), limit));
  while (!text.empty()) {
    const size_t bytes = format::FirstCharacter(text).length;
    if (valid.size() + std::max<size_t>(bytes, 1) > limit) break;
    if (bytes == 0) {
      valid += '?';
      text.remove_prefix(1);
    } else {
      valid += text.substr(0, bytes);
      text.remove_prefix(bytes);
    }
  }
  return valid;
}

google::rpc::Status ToProtoStatus(const absl::Status& status) {
  google::rpc::Status proto;
  if (status.ok()) return proto;
  proto.set_code(static_cast<int>(status.code()));
  proto.set_message(ValidUtf8({status.message().data(), status.message().size()}, kMaxTextBytes));

  google::rpc::ErrorInfo info;
  std::string reason = ReasonOf(status);
  info.set_reason(reason.empty() ? absl::StatusCodeToString(status.code()) : std::move(reason));
  info.set_domain(std::string(kErrorDomain));
  size_t details = 0;
  for (const auto& [key, value] : DetailsOf(status)) {
    if (++details > kMaxDetails) break;
    (*info.mutable_metadata())[ValidUtf8(key, kMaxKeyBytes)] = ValidUtf8(value, kMaxValueBytes);
  }
  proto.add_details()->PackFrom(info);

  if (const auto delay = RetryDelay(status)) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay->count() / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay->count() % 1000) * 1'000'000);
    proto.add_details()->PackFrom(retry);
  }
  return proto;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status proto = ToProtoStatus(status);
  return {static_cast<grpc::StatusCode>(proto.code()), proto.message(), proto.SerializeAsString()};
}

}  // namespace seedlm::server
