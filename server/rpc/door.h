// Who makes a call: the first thing that every handler asks.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "grpcpp/support/server_callback.h"
#include "server/auth/caller.h"
#include "server/auth/token_file.h"

namespace seedlm::server {

// Thread-safe. A token counts when the call begins: a stream that runs outlives its removal.
class Door {
 public:
  // `tokens`: null where none are needed: every caller is then the one owner, and may do all. Must
  // outlive the door.
  explicit Door(TokenFile* tokens) : tokens_(tokens) {}

  // The caller that the metadata "authorization: Bearer TOKEN" names. Reads no disk, but for one
  // stat a second. Errors: UNAUTHENTICATED, always with the same message, with the reason
  // TOKEN_MISSING or TOKEN_INVALID; PERMISSION_DENIED (CheckRight).
  absl::StatusOr<Caller> Admit(const grpc::ServerContextBase& context, Right right) const;

 private:
  TokenFile* const tokens_;
};

}  // namespace seedlm::server
