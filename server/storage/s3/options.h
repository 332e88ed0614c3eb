// Which S3 server, as whom, and how patiently.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/s3/signature_v4.h"

namespace seedlm::server::s3 {

// "s3://BUCKET/PREFIX".
struct Location {
  std::string bucket;
  std::string prefix;  // without a slash at either end; never empty
};

// INVALID_ARGUMENT naming what is wrong: bucket names are 3-63 of a-z 0-9 . - (DNS), the prefix has
// 1-512 bytes of printable ASCII without "//", "." and ".." as components.
absl::StatusOr<Location> ParseUri(std::string_view uri);

enum class Addressing : uint8_t {
  kAuto,         // kVirtualHost for Amazon's own endpoints, kPath for a configured one
  kPath,         // ENDPOINT/BUCKET/KEY
  kVirtualHost,  // BUCKET.ENDPOINT/KEY; buckets with a dot go by path, for the certificate's sake
};

struct RetryOptions {
  // A request is sent again until so long after it first failed, and a last time then: a server
  // that is back within it is never given up, however the pauses fell.
  std::chrono::milliseconds patience{600'000};
  std::chrono::milliseconds first_delay{200};   // upper bound of the first pause; doubles
  std::chrono::milliseconds max_delay{20'000};  // upper bound of every pause
};

struct Options {
  std::string endpoint;  // "https://HOST[:PORT]"; empty: Amazon's of the region
  std::string region = "us-east-1";
  Credentials credentials;
  std::string credentials_file;  // whose keys win over `credentials`; empty: none
  // Where there are no other keys. It may be there for other programs: if it is of no use, there
  // are none.
  std::string shared_credentials_file;
  std::string profile = "default";  // of these files
  Addressing addressing = Addressing::kAuto;
  std::string ca_bundle;  // PEM file; empty: the system's
  RetryOptions retry;
  std::chrono::milliseconds connect_timeout{10'000};
  // A request is given up, and tried again, when fewer than min_bytes_per_second moved for so long.
  std::chrono::seconds stall_timeout{30};
  int64_t min_bytes_per_second = 1024;
};

// From AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or else
// AWS_SHARED_CREDENTIALS_FILE; AWS_PROFILE, AWS_REGION or AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3
// or AWS_ENDPOINT_URL, AWS_CA_BUNDLE; what a variable does not say keeps its value in `base`.
// `get`: getenv, or a test's.
Options FromEnvironment(Options base, const std::function<const char*(const char*)>& get);

// An http(s) URL without path, query or user.
struct Endpoint {
  std::string scheme;     // "https"
  std::string authority;  // "HOST[:PORT]", lower case
};
absl::StatusOr<Endpoint> EndpointOf(const Options& options);

// FAILED_PRECONDITION, reason S3_NOT_CONFIGURED, naming what is missing or malformed.
absl::Status CheckOptions(const Options& options);

// Before attempt `failed_attempts` + 1, `since_first` after the first one failed: "full jitter",
// `uniform` [0, 1) of the bound, which doubles; no longer than the patience lasts. At least
// `retry_after`, if the server said so (kept up to a minute). None: give up.
std::optional<std::chrono::milliseconds> NextDelay(
    const RetryOptions& options, int failed_attempts, std::chrono::milliseconds since_first,
    std::optional<std::chrono::milliseconds> retry_after, double uniform);

}  // namespace seedlm::server::s3
