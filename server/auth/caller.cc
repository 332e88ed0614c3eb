#include "server/auth/caller.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr size_t kMaxOwnerBytes = 64;

}  // namespace

std::string_view Name(Role role) {
  switch (role) {
    case Role::kReadonly:
      return "readonly";
    case Role::kUser:
      return "user";
    case Role::kAdmin:
      break;
  }
  return "admin";
}

bool IsOwnerName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxOwnerBytes && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
                  c == '-';
         });
}

absl::Status CheckRight(const Caller& caller, Right right) {
  if (right == Right::kRead || caller.role != Role::kReadonly) return absl::OkStatus();
  return WithReason(absl::PermissionDeniedError(
                        absl::StrCat("the role of this token, ", std::string(Name(caller.role)),
                                     ", only looks at things: use one of the role user")),
                    "ROLE_FORBIDS");
}

}  // namespace seedlm::server
