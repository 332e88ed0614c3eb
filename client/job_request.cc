#include "client/job_request.h"

#include <filesystem>
#include <string_view>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/output_path.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {

absl::StatusOr<std::string> InputPath(const std::string& path) {
  if (path.empty()) return AbsolutePath(path);  // says what is wrong with it
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  if (error && error != std::errc::no_such_file_or_directory &&
      error != std::errc::not_a_directory) {
    return format::ErrnoToStatus(error.value(), path, "open");
  }
  if (!exists) {
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

std::string PathOfUri(const std::string& uri) {
  constexpr std::string_view kScheme = "file://";
  const size_t begin = absl::StartsWith(uri, "file://") ? kScheme.size() : 0;
  std::string path;
  for (size_t i = begin; i < uri.size(); ++i) {
    const bool escaped = uri[i] == '%' && i + 2 < uri.size() &&
                         absl::ascii_isxdigit(static_cast<unsigned char>(uri[i + 1])) &&
                         absl::ascii_isxdigit(static_cast<unsigned char>(uri[i + 2]));
    path += escaped ? static_cast<char>(std::stoi(uri.substr(i + 1, 2), nullptr, 16)) : uri[i];
    if (escaped) i += 2;
  }
  return path;
}

std::string JobName(const std::string& given) {
  return absl::StrContains(given, '/') ? given : absl::StrCat("jobs/", given);
}

}  // namespace seedlm::client
