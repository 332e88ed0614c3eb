#include "server/rpc/door.h"

#include <iterator>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "grpcpp/server_context.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr char kHeader[] = "authorization";
constexpr std::string_view kScheme = "bearer ";  // in any case, RFC 7235

// One message for all that is wrong: a guess is told nothing but that it was wrong.
absl::Status Refused(std::string_view reason) {
  return WithReason(
      absl::UnauthenticatedError("this server wants a valid token: authorization: Bearer TOKEN"),
      reason);
}

}  // namespace

absl::StatusOr<Caller> Door::Admit(const grpc::ServerContextBase& context, Right right) const {
  if (tokens_ == nullptr) return Caller();
  const auto [begin, end] = context.client_metadata().equal_range(kHeader);
  if (begin == end) return Refused("TOKEN_MISSING");
  const std::string_view value(begin->second.data(), begin->second.size());
  const bool one = std::next(begin) == end;  // of two, which would count?
  if (!one || value.size() <= kScheme.size() ||
      !absl::EqualsIgnoreCase(std::string(value.substr(0, kScheme.size())), std::string(kScheme))) {
    return Refused("TOKEN_INVALID");
  }
  std::optional<Caller> caller = tokens_->Table()->Find(value.substr(kScheme.size()));
  if (!caller.has_value()) return Refused("TOKEN_INVALID");
  if (absl::Status status = CheckRight(*caller, right); !status.ok()) return status;
  return *std::move(caller);
}

}  // namespace seedlm::server
