#include "client/job_request.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/output_path.h"

namespace seedlm::client {

absl::StatusOr<std::string> InputPath(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file or directory; check the path"));
  }
  return AbsolutePath(path);
}

std::string FileUri(const std::string& absolute_path) {
  std::string uri = "file://";
  for (const char c : absolute_path) {
    const bool plain = absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                       absl::StrContains("/-._~", absl::string_view(&c, 1));
    if (plain) {
      uri += c;
    } else {
      absl::StrAppendFormat(&uri, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return uri;
}

std::string JobName(const std::string& given) {
  return absl::StrContains(given, '/') ? given : absl::StrCat("jobs/", given);
}

}  // namespace seedlm::client
