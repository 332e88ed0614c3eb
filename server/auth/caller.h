// Who calls, and what they may.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace seedlm::server {

enum class Role : uint8_t {
  kReadonly,  // looks at the owner's jobs and artifacts
  kUser,      // makes and ends them, too
  kAdmin,     // as kUser, and with the jobs and artifacts of every owner
};

std::string_view Name(Role role);  // "user"

// An owner's name in a token file: 1-64 of [A-Za-z0-9._-], no '.' in front. It names a directory.
bool IsOwnerName(std::string_view name);

struct Caller {
  std::string owner;  // "": the one owner of a server without tokens
  Role role = Role::kAdmin;

  // Whether something of `other` is there for this caller: if not, it must look as if it were not.
  bool Sees(std::string_view other) const { return role == Role::kAdmin || owner == other; }
};

enum class Right : uint8_t { kRead, kWrite };

// PERMISSION_DENIED, reason ROLE_FORBIDS.
absl::Status CheckRight(const Caller& caller, Right right);

}  // namespace seedlm::server
