#include "server/storage/s3/options.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"

namespace seedlm::server::s3 {
namespace {

constexpr std::string_view kScheme = "s3://";
constexpr size_t kMinBucketBytes = 3;
constexpr size_t kMaxBucketBytes = 63;
constexpr size_t kMaxPrefixBytes = 512;  // half a key: the rest is for the paths of the output
constexpr std::chrono::milliseconds kLongestRetryAfter{60'000};
constexpr int kMaxDoublings = 20;

absl::Status Malformed(std::string_view uri, const char* why) {
  return absl::InvalidArgumentError(absl::StrCat("'", Shown(uri), "': ", why));
}

absl::Status NotConfigured(const std::string& why) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat("s3:// is not configured on this server: ", why)),
      "S3_NOT_CONFIGURED");
}

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsBucket(std::string_view name) {
  if (name.size() < kMinBucketBytes || name.size() > kMaxBucketBytes) return false;
  if (!IsLowerOrDigit(name.front()) || !IsLowerOrDigit(name.back())) return false;
  if (name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return IsLowerOrDigit(c) || c == '-' || c == '.'; });
}

// What is wrong with a prefix; null if nothing is.
const char* PrefixProblem(std::string_view prefix) {
  if (prefix.empty()) return "names no prefix; write s3://BUCKET/PREFIX";
  if (prefix.size() > kMaxPrefixBytes) return "the prefix is over 512 bytes";
  const bool printable =
      std::all_of(prefix.begin(), prefix.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  if (!printable) return "the prefix holds a character that is not printable ASCII";
  const std::vector<std::string> components = absl::StrSplit(std::string(prefix), '/');
  for (const std::string& component : components) {
    if (component.empty() || component == "." || component == "..") {
      return "the prefix has an empty component, '.' or '..'";
    }
  }
  return nullptr;
}

bool IsAuthority(std::string_view authority) {
  std::string_view host = authority;
  if (const size_t colon = authority.rfind(':');
      colon != std::string_view::npos && authority.back() != ']') {
    int port = 0;
    const std::string digits(authority.substr(colon + 1));
    if (!absl::SimpleAtoi(digits, &port) || port < 1 || port > 65535) return false;
    host = authority.substr(0, colon);
  }
  return !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '[' ||
           c == ']' || c == ':';
  });
}

}  // namespace

absl::StatusOr<Location> ParseUri(std::string_view uri) {
  if (!uri.starts_with(kScheme)) return Malformed(uri, "is not an s3:// URI");
  std::string_view rest = uri.substr(kScheme.size());
  const size_t slash = rest.find('/');
  const std::string_view bucket = rest.substr(0, slash);
  if (!IsBucket(bucket)) {
    return Malformed(uri, "the bucket's name is not 3-63 of lower-case letters, digits, '.', '-'");
  }
  std::string_view prefix = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (const char* problem = PrefixProblem(prefix)) return Malformed(uri, problem);
  return Location{std::string(bucket), std::string(prefix)};
}

Options FromEnvironment(Options base, const std::function<const char*(const char*)>& get) {
  // The first of the names that is set and not empty.
  const auto take = [&](std::initializer_list<const char*> names, std::string& field) {
    for (const char* name : names) {
      const char* value = get(name);
      if (value == nullptr || *value == '\0') continue;
      field = value;
      return;
    }
  };
  take({"AWS_ACCESS_KEY_ID"}, base.credentials.access_key_id);
  take({"AWS_SECRET_ACCESS_KEY"}, base.credentials.secret_access_key);
  take({"AWS_SESSION_TOKEN"}, base.credentials.session_token);
  if (base.credentials.access_key_id.empty()) {
    take({"AWS_SHARED_CREDENTIALS_FILE"}, base.shared_credentials_file);
  }
  take({"AWS_PROFILE"}, base.profile);
  take({"AWS_REGION", "AWS_DEFAULT_REGION"}, base.region);
  take({"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}, base.endpoint);
  take({"AWS_CA_BUNDLE"}, base.ca_bundle);
  return base;
}

absl::StatusOr<Endpoint> EndpointOf(const Options& options) {
  if (options.endpoint.empty()) {
    return Endpoint{"https", absl::StrCat("s3.", options.region, ".amazonaws.com")};
  }
  std::string_view rest = options.endpoint;
  const size_t scheme_end = rest.find("://");
  const std::string scheme =
      absl::AsciiStrToLower(std::string(rest.substr(0, std::min(scheme_end, rest.size()))));
  if (scheme_end == std::string_view::npos || (scheme != "https" && scheme != "http")) {
    return NotConfigured(absl::StrCat("the endpoint '", Shown(options.endpoint),
                                      "' is not http://HOST[:PORT] or https://HOST[:PORT]"));
  }
  rest.remove_prefix(scheme_end + 3);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (!IsAuthority(rest)) {
    return NotConfigured(absl::StrCat("the endpoint '", Shown(options.endpoint),
                                      "' has more than a host and a port, or a port that is none"));
  }
  return Endpoint{scheme, absl::AsciiStrToLower(std::string(rest))};
}

absl::Status CheckOptions(const Options& options) {
  if (options.credentials.access_key_id.empty() || options.credentials.secret_access_key.empty()) {
    return NotConfigured(
        "it has no credentials; start it with --s3-credentials FILE, or with AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY set");
  }
  if (options.region.empty()) return NotConfigured("the region is empty; set AWS_REGION");
  return EndpointOf(options).status();
}

std::optional<std::chrono::milliseconds> NextDelay(
    const RetryOptions& options, int failed_attempts, std::chrono::milliseconds since_first,
    std::optional<std::chrono::milliseconds> retry_after, double uniform) {
  const std::chrono::milliseconds left = options.patience - since_first;
  if (left <= left.zero()) return std::nullopt;
  const int64_t grown = options.first_delay.count()
                        << std::clamp(failed_attempts - 1, 0, kMaxDoublings);
  const int64_t bound = std::min(grown, options.max_delay.count());
  const std::chrono::milliseconds jittered(
      static_cast<int64_t>(static_cast<double>(bound) * uniform));
  return std::max(std::min(jittered, left),
                  std::min(retry_after.value_or(std::chrono::milliseconds(0)), kLongestRetryAfter));
}

}  // namespace seedlm::server::s3
