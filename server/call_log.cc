#include "server/call_log.h"

#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/log/log_scope.h"

namespace seedlm::server {

bool ConcernsOperator(const EndedCall& call) {
  using enum absl::StatusCode;
  const bool without_reason = call.reason == absl::StatusCodeToString(call.code);
  switch (call.code) {
    case kInternal:
    case kUnknown:
    case kUnauthenticated:
      return true;
    case kResourceExhausted:  // the limits have reasons, a full disk has none
    case kPermissionDenied:   // so do roles and roots
      if (without_reason) return true;
      break;
    default:
      break;
  }
  return call.reason.starts_with("STORE_") ||
         (call.reason.starts_with("S3_") && call.reason != "S3_NOT_CONFIGURED");
}

void CallLog::Ended(const EndedCall& call) {
  if (log_ == nullptr || !ConcernsOperator(call)) return;
  std::optional<int64_t> times;
  {
    const std::lock_guard lock(mutex_);
    times = told_.try_emplace({call.method, call.reason}, std::chrono::minutes(1))
                .first->second.Happened();
  }
  if (!times.has_value()) return;
  const std::string more =
      *times > 1 ? absl::StrCat("; ", *times, " such calls since this was told last") : "";
  const LogScope scope({{"owner", call.owner}});
  log_->warn("{} from {} ended with {}: {}{}", call.method, call.peer, call.reason, call.message,
             more);
}

}  // namespace seedlm::server
