#include "server/storage/s3_credentials.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

// The field of a name; null for one that says something else.
std::string* FieldOf(std::string_view name, s3::Credentials& credentials) {
  if (name == "aws_access_key_id") return &credentials.access_key_id;
  if (name == "aws_secret_access_key") return &credentials.secret_access_key;
  if (name == "aws_session_token") return &credentials.session_token;
  return nullptr;
}

absl::Status CheckMode(int fd, const std::string& file) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return format::ErrnoToStatus(errno, file, "open");
  if ((info.st_mode & (S_IWGRP | S_IRWXO)) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      format::Printable(file), ": others on this machine may read or change the keys: chmod 600"));
}

}  // namespace

absl::StatusOr<s3::Credentials> ParseS3Credentials(std::string_view text, std::string_view profile,
                                                   std::string_view file) {
  const std::string name_of_file = format::Printable(file);
  const std::string name_of_profile = format::Printable(profile);
  s3::Credentials credentials;
  bool found = false;   // the profile
  bool inside = false;  // of it
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(format::AbslPiece(text), '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[' && line.back() == ']') {
      const absl::string_view section = absl::StripAsciiWhitespace(line.substr(1, line.size() - 2));
      inside = section == format::AbslPiece(profile);
      found |= inside;
      continue;
    }
    const size_t equals = line.find('=');
    if (equals == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          name_of_file, ":", number, ": is neither [PROFILE] nor NAME = VALUE, as AWS has them"));
    }
    const std::string name(absl::StripAsciiWhitespace(line.substr(0, equals)));
    std::string* field = inside ? FieldOf(name, credentials) : nullptr;
    if (field != nullptr) *field = std::string(absl::StripAsciiWhitespace(line.substr(equals + 1)));
  }
  if (!found) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_of_file, ": has no profile [", name_of_profile, "]; see --s3-profile"));
  }
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_of_file, ": the profile [", name_of_profile,
                     "] needs aws_access_key_id and aws_secret_access_key"));
  }
  return credentials;
}

absl::StatusOr<s3::Credentials> ReadS3Credentials(const std::string& file,
                                                  std::string_view profile) {
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return format::ErrnoToStatus(errno, file, "open");
  if (absl::Status status = CheckMode(fd.get(), file); !status.ok()) return status;
  const absl::StatusOr<std::string> text = format::ReadSmallFile(fd.get(), file, kMaxFileBytes);
  if (!text.ok()) return text.status();
  return ParseS3Credentials(*text, profile, file);
}

}  // namespace seedlm::server
