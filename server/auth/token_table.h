// Which token is whose: the content of the file that --tokens names.
//
//   # comment
//   DIGEST OWNER ROLE
//
// DIGEST: the SHA-256 of the token in hex, as `seedlm-server --hash-token` prints it; the file
// never holds a token. ROLE: readonly, user or admin. Fields are separated by blanks. An owner may
// have several tokens; a token belongs to one.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/auth/caller.h"

namespace seedlm::server {

using TokenDigest = std::array<unsigned char, 32>;

TokenDigest DigestOf(std::string_view token);
std::string ToHex(const TokenDigest& digest);

inline constexpr size_t kMaxTokens = 10'000;

// Immutable, thread-safe.
class TokenTable {
 public:
  // INVALID_ARGUMENT "FILE:LINE: ..", which names a field by its place and never shows its text: it
  // may be a token that somebody wrote there by mistake. A table without a token is an error, too.
  static absl::StatusOr<TokenTable> Parse(std::string_view text, const std::string& file);

  // Takes the same time whichever token it is, and whether it is one: all digests are compared,
  // each in constant time.
  std::optional<Caller> Find(std::string_view token) const;

  size_t size() const { return rows_.size(); }

 private:
  struct Row {
    TokenDigest digest;
    Caller caller;
  };
  std::vector<Row> rows_;
};

}  // namespace seedlm::server
