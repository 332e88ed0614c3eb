#include "server/storage/storage_roots.h"

#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

constexpr std::string_view kFileScheme = "file://";
constexpr std::string_view kS3Scheme = "s3://";

// realpath(3), or an errno.
struct RealPath {
  std::string path;
  int error = 0;
};

RealPath ResolveLinks(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         &std::free);
  return real != nullptr ? RealPath{real.get(), 0} : RealPath{"", errno};
}

bool IsBelow(const std::string& path, const std::string& root) {
  if (root == "/" || path == root) return true;
  return path.size() > root.size() && path[root.size()] == '/' && path.starts_with(root);
}

absl::Status Malformed(std::string_view path, const char* why) {
  return absl::InvalidArgumentError(absl::StrCat("'", format::Printable(path), "': ", why));
}

absl::Status Denied(std::string_view path, std::string_view why) {
  return WithReason(absl::PermissionDeniedError(
                        absl::StrCat("'", format::Printable(path), "': ", std::string(why))),
                    "OUTSIDE_STORAGE_ROOT");
}

// An absolute path in which nothing has to be interpreted, without a slash at the end.
absl::StatusOr<std::string> Normalize(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return Malformed(path, "holds a NUL character");
  if (path.empty() || path.front() != '/') return Malformed(path, "is not an absolute path");
  if (path.size() >= PATH_MAX) return Malformed(path, "is too long");
  std::string normal;
  for (const auto component : absl::StrSplit(std::string(path), '/', absl::SkipEmpty())) {
    if (component == "..") return Malformed(path, "must not hold '..'");
    if (component != ".") absl::StrAppend(&normal, "/", component);
  }
  return normal.empty() ? "/" : normal;
}

absl::StatusOr<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const std::string digits(text.substr(i + 1, 2));
    if (digits.size() != 2 || !absl::ascii_isxdigit(static_cast<unsigned char>(digits[0])) ||
        !absl::ascii_isxdigit(static_cast<unsigned char>(digits[1]))) {
      return Malformed(text, "has a '%' that two hex digits do not follow; write %25 for '%'");
    }
    decoded += absl::HexStringToBytes(digits);
    i += 2;
  }
  return decoded;
}

}  // namespace

absl::StatusOr<StorageRoots> StorageRoots::Create(const std::vector<std::string>& roots,
                                                  const std::string& reserved) {
  StorageRoots result;
  if (!reserved.empty()) {
    RealPath real = ResolveLinks(reserved);
    if (real.error != 0) return format::ErrnoToStatus(real.error, reserved, "examine");
    result.reserved_ = std::move(real.path);
  }
  for (const std::string& root : roots) {
    RealPath real = ResolveLinks(root);
    if (real.error != 0) return format::ErrnoToStatus(real.error, root, "use as a storage root");
    struct stat info {};
    if (stat(real.path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat(format::Printable(root), ": is not a directory: no storage root"));
    }
    if (!reserved.empty() && IsBelow(real.path, result.reserved_)) {
      return absl::InvalidArgumentError(
          absl::StrCat(format::Printable(root), ": is the server's own data directory (",
                       format::Printable(reserved), ") or lies in it: no storage root"));
    }
    result.roots_.push_back(std::move(real.path));
  }
  return result;
}

absl::StatusOr<std::string> StorageRoots::Resolve(std::string_view path) const {
  const absl::StatusOr<std::string> normal = Normalize(path);
  if (!normal.ok()) return normal.status();
  if (roots_.empty()) {
    return Denied(path,
                  "the server has no storage root; upload a source, "
                  "and let the server keep the result (--to managed)");
  }
  std::string existing = *normal;
  RealPath real = ResolveLinks(existing);
  while (real.error == ENOENT || real.error == ENOTDIR) {
    struct stat info {};
    if (lstat(existing.c_str(), &info) == 0) {
      return Denied(path, "leads through a broken symbolic link");
    }
    existing = ParentOf(existing);
    real = ResolveLinks(existing);
  }
  if (real.error == EACCES) return Denied(path, "the server may not look there");
  if (real.error != 0) return format::ErrnoToStatus(real.error, path, "resolve");
  const std::string rest = existing == "/" ? *normal : normal->substr(existing.size());
  std::string resolved = real.path;
  if (existing != *normal) resolved = real.path == "/" ? rest : real.path + rest;
  if (absl::Status status = CheckConfined(resolved, path); !status.ok()) return status;
  return resolved;
}

absl::Status StorageRoots::CheckConfined(const std::string& resolved, std::string_view path) const {
  if (!reserved_.empty() && (IsBelow(resolved, reserved_) || IsBelow(reserved_, resolved))) {
    return Denied(path, "is, holds or lies in the server's own data directory");
  }
  for (const std::string& root : roots_) {
    if (IsBelow(resolved, root)) return absl::OkStatus();
  }
  return Denied(path, absl::StrCat("is outside of the server's storage roots (",
                                   absl::StrJoin(roots_, ", "), ")"));
}

absl::Status StorageRoots::CheckOpened(int fd, const std::string& path) const {
  std::error_code error;
  // Of a file that was removed since: its last name, and " (deleted)" after it.
  const std::string name =
      std::filesystem::read_symlink(absl::StrCat("/proc/self/fd/", fd), error).string();
  if (error) return format::ErrnoToStatus(error.value(), path, "examine");
  return CheckConfined(name, path);
}

absl::StatusOr<std::string> StorageRoots::ResolveOutputUri(std::string_view uri) const {
  absl::StatusOr<std::string> path = ResolveUri(uri);
  if (!path.ok()) return path;
  for (const std::string& root : roots_) {
    if (!IsBelow(root, *path)) continue;
    return Denied(uri, "is a storage root of the server, or holds one; name something in it");
  }
  return path;
}

absl::StatusOr<std::string> StorageRoots::ResolveUri(std::string_view uri) const {
  if (uri.starts_with(kS3Scheme)) {
    return WithReason(
        absl::UnimplementedError(absl::StrCat(
            "'", format::Printable(uri),
            "': s3:// sources are not available in this version; upload it, or use file://")),
        "NOT_IMPLEMENTED");
  }
  if (!uri.starts_with(kFileScheme)) return Malformed(uri, "is not a file:// URI");
  const std::string_view encoded = uri.substr(kFileScheme.size());
  if (!encoded.starts_with('/')) {
    return Malformed(uri, "must have three slashes, file:///PATH: no host can be named");
  }
  absl::StatusOr<std::string> path = PercentDecode(encoded);
  if (!path.ok()) return path.status();
  return Resolve(*path);
}

}  // namespace seedlm::server
