#include "server/auth/token_table.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/format/text.h"

namespace seedlm::server {
namespace {

std::optional<Role> RoleOf(std::string_view word) {
  for (const Role role : {Role::kReadonly, Role::kUser, Role::kAdmin}) {
    if (word == Name(role)) return role;
  }
  return std::nullopt;
}

std::optional<TokenDigest> FromHex(const std::string& hex) {
  TokenDigest digest{};
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (const char c : hex) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
  }
  const std::string bytes = absl::HexStringToBytes(hex);
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

}  // namespace

TokenDigest DigestOf(std::string_view token) {
  TokenDigest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return digest;
}

std::string ToHex(const TokenDigest& digest) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

absl::StatusOr<TokenTable> TokenTable::Parse(std::string_view text, const std::string& file) {
  TokenTable table;
  std::map<TokenDigest, int> lines;
  int number = 0;
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(std::string(text), '\n'))) {
    ++number;
    const auto wrong = [&](const std::string& why) {
      return absl::InvalidArgumentError(
          absl::StrCat(format::Printable(file), ":", number, ": ", why));
    };
    const std::vector<std::string> words =
        absl::StrSplit(absl::StripAsciiWhitespace(line), absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.empty() || words[0][0] == '#') continue;
    const std::optional<TokenDigest> digest = FromHex(words[0]);
    if (!digest.has_value()) {
      return wrong(
          "begins with no SHA-256 of 64 hex digits: write what seedlm-server --hash-token prints, "
          "never the token itself");
    }
    if (words.size() != 3) return wrong("is not of the form DIGEST OWNER ROLE");
    if (!IsOwnerName(words[1])) {
      return wrong(
          "its second field is no owner: up to 64 letters, digits, '.', '_' and '-', the first no "
          "'.'");
    }
    const std::optional<Role> role = RoleOf(words[2]);
    if (!role.has_value()) {
      return wrong("its third field is no role: readonly, user or admin");
    }
    if (const auto [it, fresh] = lines.emplace(*digest, number); !fresh) {
      return wrong(absl::StrCat("has the token of line ", it->second, " again"));
    }
    if (table.rows_.size() == kMaxTokens) {
      return wrong(absl::StrCat("is one too many: at most ", kMaxTokens, " tokens"));
    }
    table.rows_.push_back({*digest, {words[1], *role}});
  }
  if (!table.rows_.empty()) return table;
  return absl::InvalidArgumentError(
      absl::StrCat(format::Printable(file), ": lists no token: nobody could call"));
}

std::optional<Caller> TokenTable::Find(std::string_view token) const {
  const TokenDigest digest = DigestOf(token);
  const Row* found = nullptr;
  for (const Row& row : rows_) {
    if (CRYPTO_memcmp(row.digest.data(), digest.data(), digest.size()) == 0) found = &row;
  }
  return found != nullptr ? std::optional<Caller>(found->caller) : std::nullopt;
}

}  // namespace seedlm::server
