// AWS Signature Version 4, as S3 wants it: the path is encoded once, the payload's SHA-256 is
// signed. https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct evp_md_ctx_st;

namespace seedlm::server::s3 {

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // empty: not temporary ones
};

using NameValues = std::vector<std::pair<std::string, std::string>>;

struct SignableRequest {
  std::string method;          // "GET"
  std::string path;            // encoded, begins with '/'
  NameValues query;            // not encoded, in any order
  NameValues headers;          // names in lower case, "host" among them; all of them are signed
  std::string payload_sha256;  // 64 hex digits
};

struct SigningScope {
  std::string_view region;
  std::string_view service = "s3";
  std::string_view time;  // "20130524T000000Z", as in the header x-amz-date
};

// RFC 3986: all but A-Z a-z 0-9 - . _ ~ as %XX; '/' too if `encode_slash`.
std::string UriEncode(std::string_view text, bool encode_slash);

// "a=1&b=%20", sorted by encoded name, then value: what is signed and what is sent.
std::string CanonicalQuery(const NameValues& query);

// The text that is hashed and signed; for tests and for a server that checks.
std::string CanonicalRequest(const SignableRequest& request);

// Value of the header Authorization. Deterministic.
std::string Authorization(const SignableRequest& request, const Credentials& credentials,
                          const SigningScope& scope);

// SHA-256 as a running sum.
class PayloadHash {
 public:
  PayloadHash();
  void Update(std::span<const char> bytes);
  std::string HexDigest();  // the sum is over

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string Sha256Hex(std::string_view data);

// "20130524T000000Z" of seconds since 1970, UTC.
std::string AmzDate(int64_t unix_seconds);

}  // namespace seedlm::server::s3
