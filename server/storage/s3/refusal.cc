#include "server/storage/s3/refusal.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"

namespace seedlm::server::s3 {
namespace {

// One of the keys, by the name that it has where they came from.
std::string KeyName(std::string_view variable, KeySource keys) {
  const std::string name(variable);
  if (keys == KeySource::kEnvironment) return name + " of the server";
  return absl::StrCat(
      absl::AsciiStrToLower(name), " in the file of the server's ",
      keys == KeySource::kCredentialsFile ? "s3-credentials" : "AWS_SHARED_CREDENTIALS_FILE");
}

// What a person can do about a code; empty: the server's own words must do.
std::string WayOut(std::string_view code, KeySource keys) {
  if (code == "InvalidAccessKeyId") return "check " + KeyName("AWS_ACCESS_KEY_ID", keys);
  if (code == "SignatureDoesNotMatch") return "check " + KeyName("AWS_SECRET_ACCESS_KEY", keys);
  if (code == "ExpiredToken" || code == "InvalidToken") {
    // A file is read again.
    return "renew " + KeyName("AWS_SESSION_TOKEN", keys) +
           (keys == KeySource::kEnvironment ? " and restart it" : "");
  }
  struct Hint {
    std::string_view code, way_out;
  };
  static constexpr std::array kHints = {
      Hint{"RequestTimeTooSkewed", "set the server's clock"},
      Hint{"AccessDenied", "the policy must allow to list, write and delete there"},
      Hint{"NoSuchBucket", "create the bucket"},
      Hint{"AuthorizationHeaderMalformed", "set s3-region, or AWS_REGION, to the bucket's region"},
      Hint{"PermanentRedirect", "set s3-region, or AWS_REGION, to the bucket's region"},
      Hint{"TemporaryRedirect", "set s3-region, or AWS_REGION, to the bucket's region"},
      Hint{"IllegalLocationConstraintException",
           "set s3-region, or AWS_REGION, to the bucket's region"},
  };
  for (const Hint& hint : kHints) {
    if (hint.code == code) return std::string(hint.way_out);
  }
  return "";
}

absl::StatusCode CodeOf(int http_status, std::string_view code) {
  if (code == "QuotaExceeded" || http_status == 507) return absl::StatusCode::kResourceExhausted;
  switch (http_status) {
    case 401:
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 412:
      return absl::StatusCode::kAlreadyExists;
    case 501:
      return absl::StatusCode::kUnimplemented;
    default:
      return http_status >= 500 || http_status == 429 ? absl::StatusCode::kUnavailable
                                                      : absl::StatusCode::kFailedPrecondition;
  }
}

std::string_view ReasonFor(absl::StatusCode code, std::string_view s3_code) {
  if (s3_code == "NoSuchBucket") return "S3_BUCKET_MISSING";
  switch (code) {
    case absl::StatusCode::kPermissionDenied:
      return "S3_ACCESS_DENIED";
    case absl::StatusCode::kAlreadyExists:
      return "OUTPUT_EXISTS";
    case absl::StatusCode::kUnavailable:
      return kS3Unavailable;
    default:
      return "S3_REFUSED";
  }
}

}  // namespace

bool IsPassing(int http_status, const ErrorAnswer& error) {
  constexpr std::array kPassing = {429, 500, 502, 503, 504};
  return std::find(kPassing.begin(), kPassing.end(), http_status) != kPassing.end() ||
         error.code == "RequestTimeout";
}

std::optional<std::chrono::milliseconds> RetryAfterOf(const HttpAnswer& answer) {
  const auto header = answer.headers.find("retry-after");
  int seconds = 0;
  if (header == answer.headers.end() || !absl::SimpleAtoi(header->second, &seconds) ||
      seconds < 0) {
    return std::nullopt;
  }
  return std::chrono::seconds(seconds);
}

absl::Status ToStatus(const HttpAnswer& answer, const ErrorAnswer& error, std::string_view what,
                      std::string_view endpoint, KeySource keys) {
  const absl::StatusCode code = CodeOf(answer.status, error.code);
  std::string message =
      absl::StrCat(std::string(what), ": ", std::string(endpoint), " answered ", answer.status);
  if (!error.code.empty()) absl::StrAppend(&message, " ", Shown(error.code));
  if (!error.message.empty()) absl::StrAppend(&message, " (", error.message, ")");
  const auto region = answer.headers.find("x-amz-bucket-region");
  if (region != answer.headers.end() && answer.status / 100 == 3) {
    absl::StrAppend(&message, "; the bucket is in ", Shown(region->second));
  }
  if (const std::string way_out = WayOut(error.code, keys); !way_out.empty()) {
    absl::StrAppend(&message, "; ", way_out);
  }
  return WithReason(absl::Status(code, message), ReasonFor(code, error.code));
}

}  // namespace seedlm::server::s3
