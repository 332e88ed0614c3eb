#include "client/rpc_status.h"

#include <grpcpp/support/status.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "kernels/format/file_io.h"

namespace seedlm::client {
namespace {

using format::kReasonPayload;
constexpr char kRetryPayload[] = "seedlm/retry_ms";
constexpr char kDetailPayloadPrefix[] = "seedlm/detail/";
constexpr int64_t kLongestDelaySeconds = 86'400;  // bytes from outside: no overflow

absl::Status Convert(const google::rpc::Status& from, absl::StatusCode code, std::string message) {
  absl::Status status(code, message);
  for (const auto& detail : from.details()) {
    google::rpc::ErrorInfo info;
    if (detail.UnpackTo(&info)) {
      status.SetPayload(kReasonPayload, absl::Cord(info.reason()));
      for (const auto& [key, value] : info.metadata()) {
        status.SetPayload(absl::StrCat(kDetailPayloadPrefix, key), absl::Cord(value));
      }
    }
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&retry)) {
      const auto& delay = retry.retry_delay();
      const auto seconds = std::clamp<int64_t>(delay.seconds(), 0, kLongestDelaySeconds);
      status = WithRetryAfter(
          std::move(status), std::chrono::milliseconds(seconds * 1000 + delay.nanos() / 1'000'000));
    }
  }
  return status;
}

// gRPC's text without what `address` says already: "Connection refused".
absl::string_view WithoutNoise(absl::string_view text) {
  constexpr absl::string_view kAll = "failed to connect to all addresses; last error: ";
  constexpr absl::string_view kOne = "Failed to connect to remote host: ";
  if (const size_t at = text.rfind(kOne); at != absl::string_view::npos) {
    return text.substr(at + kOne.size());
  }
  return absl::StripPrefix(text, kAll);
}

// What to do about a token is known here only, and whose it is: the server's words are the same
// for all that is wrong with one.
std::string OfToken(const absl::Status& status, const std::string& address) {
  const std::string reason = ErrorReason(status);
  if (reason == "TOKEN_MISSING") {
    return absl::StrCat(address, ": wants a token, and none was sent; set SEEDLM_TOKEN to yours");
  }
  if (reason == "TOKEN_INVALID") {
    return absl::StrCat(
        address,
        ": does not know the token in SEEDLM_TOKEN; set it to one that the server's "
        "--tokens file lists");
  }
  if (reason == "ROLE_FORBIDS") {
    return absl::StrCat(address, ": ", status.message(),
                        "; set SEEDLM_TOKEN to a token of another role");
  }
  return "";
}

}  // namespace

absl::Status FromRpc(const grpc::Status& status, const std::string& address) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status details;
  const bool answered =
      !status.error_details().empty() && details.ParseFromString(status.error_details());
  auto code = static_cast<absl::StatusCode>(status.error_code());
  std::string message = status.error_message();
  if (!answered && code == absl::StatusCode::kUnavailable && absl::StartsWith(address, "unix:") &&
      absl::EndsWith(message, "Permission denied")) {
    code = absl::StatusCode::kUnauthenticated;
    message = absl::StrCat("cannot reach ", address,
                           ": Permission denied; the server's user must let you write to it");
  } else if (!answered && code == absl::StatusCode::kUnavailable) {
    message = absl::StrCat("cannot reach ", address, ": ", WithoutNoise(message),
                           "; start it with seedlm-server, or mend --server");
  } else if (!answered && code == absl::StatusCode::kDeadlineExceeded) {
    message = absl::StrCat(address, ": no answer in time; try again");
  } else if (!answered && code == absl::StatusCode::kCancelled) {
    // gRPC's word for a call that was open when the server's process ended it.
    code = absl::StatusCode::kUnavailable;
    message = absl::StrCat(address, ": stopped in the middle of a call; try again");
  }
  absl::Status converted = Convert(details, code, std::move(message));
  const std::string of_token = OfToken(converted, address);
  return of_token.empty() ? converted : Convert(details, code, of_token);
}

absl::Status FromProto(const google::rpc::Status& status, const std::string& thing) {
  auto code = static_cast<absl::StatusCode>(status.code());
  if (code == absl::StatusCode::kOk) code = absl::StatusCode::kUnknown;
  return Convert(status, code, absl::StrCat(thing, ": ", status.message()));
}

std::string ErrorReason(const absl::Status& status) {
  const auto payload = status.GetPayload(kReasonPayload);
  return payload.has_value() ? std::string(*payload) : std::string();
}

std::map<std::string, std::string> ErrorDetails(const absl::Status& status) {
  std::map<std::string, std::string> details;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& value) {
    if (absl::ConsumePrefix(&url, kDetailPayloadPrefix)) {
      details.emplace(std::string(url), std::string(value));
    }
  });
  return details;
}

std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryPayload);
  int64_t milliseconds = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &milliseconds)) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(milliseconds);
}

absl::Status WithRetryAfter(absl::Status status, std::chrono::milliseconds delay) {
  status.SetPayload(kRetryPayload, absl::Cord(absl::StrCat(delay.count())));
  return status;
}

}  // namespace seedlm::client
