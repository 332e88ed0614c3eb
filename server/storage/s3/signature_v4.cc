#include "server/storage/s3/signature_v4.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <new>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace seedlm::server::s3 {
namespace {

constexpr char kAlgorithm[] = "AWS4-HMAC-SHA256";
constexpr char kTerminator[] = "aws4_request";
constexpr size_t kDateDigits = 8;  // of the time

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

std::string Hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  const void* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                          reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                          digest.data(), &length);
  if (done == nullptr) throw std::bad_alloc();  // the only way for it to fail
  return {reinterpret_cast<const char*>(digest.data()), length};
}

bool IsUnreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// Without white space at the ends, and with one space for several within.
std::string Trimmed(std::string_view value) {
  std::string trimmed;
  for (const char c : value) {
    const bool space = c == ' ' || c == '\t';
    if (space && (trimmed.empty() || trimmed.back() == ' ')) continue;
    trimmed += space ? ' ' : c;
  }
  if (!trimmed.empty() && trimmed.back() == ' ') trimmed.pop_back();
  return trimmed;
}

NameValues Sorted(NameValues pairs) {
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

std::string SignedHeaders(const NameValues& headers) {
  return absl::StrJoin(Sorted(headers), ";", [](std::string* out, const auto& header) {
    absl::StrAppend(out, header.first);
  });
}

}  // namespace

std::string UriEncode(std::string_view text, bool encode_slash) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (IsUnreserved(c) || (c == '/' && !encode_slash)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return encoded;
}

std::string CanonicalQuery(const NameValues& query) {
  NameValues encoded;
  for (const auto& [name, value] : query) {
    encoded.emplace_back(UriEncode(name, true), UriEncode(value, true));
  }
  return absl::StrJoin(Sorted(std::move(encoded)), "&", absl::PairFormatter("="));
}

std::string CanonicalRequest(const SignableRequest& request) {
  std::string text =
      absl::StrCat(request.method, "\n", request.path, "\n", CanonicalQuery(request.query), "\n");
  for (const auto& [name, value] : Sorted(request.headers)) {
    absl::StrAppend(&text, name, ":", Trimmed(value), "\n");
  }
  absl::StrAppend(&text, "\n", SignedHeaders(request.headers), "\n", request.payload_sha256);
  return text;
}

std::string Authorization(const SignableRequest& request, const Credentials& credentials,
                          const SigningScope& scope) {
  const std::string_view date = scope.time.substr(0, kDateDigits);
  const std::string scope_text =
      absl::StrCat(View(date), "/", View(scope.region), "/", View(scope.service), "/", kTerminator);
  const std::string to_sign = absl::StrCat(kAlgorithm, "\n", View(scope.time), "\n", scope_text,
                                           "\n", Sha256Hex(CanonicalRequest(request)));
  std::string key = Hmac(absl::StrCat("AWS4", credentials.secret_access_key), date);
  key = Hmac(Hmac(Hmac(key, scope.region), scope.service), kTerminator);
  return absl::StrCat(kAlgorithm, " Credential=", credentials.access_key_id, "/", scope_text,
                      ",SignedHeaders=", SignedHeaders(request.headers),
                      ",Signature=", absl::BytesToHexString(Hmac(key, to_sign)));
}

PayloadHash::PayloadHash() : context_(EVP_MD_CTX_new()) {
  // Both fail for lack of memory only.
  if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) {
    throw std::bad_alloc();
  }
}

void PayloadHash::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

void PayloadHash::Update(std::span<const char> bytes) {
  (void)EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());  // SHA-256 cannot fail here
}

std::string PayloadHash::HexDigest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  (void)EVP_DigestFinal_ex(context_.get(), digest.data(), &length);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), length});
}

std::string Sha256Hex(std::string_view data) {
  PayloadHash hash;
  hash.Update(std::span(data.data(), data.size()));
  return hash.HexDigest();
}

std::string AmzDate(int64_t unix_seconds) {
  const auto seconds = static_cast<time_t>(unix_seconds);
  struct tm parts {};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const size_t length = strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return {text.data(), length};
}

}  // namespace seedlm::server::s3
