#include "server/storage/tree.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::server {

namespace fs = std::filesystem;

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

bool Exists(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0;
}

absl::Status MakeDirectories(const std::string& root, const std::string& path, mode_t mode) {
  size_t end = root.size();
  while (end < path.size()) {
    end = path.find('/', end + 1);
    const std::string directory = path.substr(0, end);
    if (mkdir(directory.c_str(), mode) != 0 && errno != EEXIST) {
      const int error = errno;
      if (error == ENOTDIR) break;
      return format::ErrnoToStatus(error, directory, "create directory");
    }
    if (end == std::string::npos) break;
  }
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      format::Printable(path), ": a directory is needed here, but there is a file of that name"));
}

absl::Status SyncTree(const std::string& path) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    if (!it->is_directory(error) || it->is_symlink(error)) continue;
    if (absl::Status status = format::SyncDirectory(it->path().string()); !status.ok())
      return status;
  }
  if (error) return format::ErrnoToStatus(error.value(), path, "list");
  return format::SyncDirectory(path);
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? format::ErrnoToStatus(error.value(), path, "remove") : absl::OkStatus();
}

absl::Status RenameNoReplace(const std::string& from, const std::string& to) {
  const int error = format::TryRenameNoReplace(from, to);
  if (error == EEXIST || error == ENOTEMPTY) return format::AlreadyExistsStatus(to);
  return error == 0 ? absl::OkStatus() : format::ErrnoToStatus(error, to, "create");
}

absl::Status RenameReplacing(const std::string& from, const std::string& to) {
  struct stat info {};
  if (lstat(to.c_str(), &info) != 0) return RenameNoReplace(from, to);
  const int error = S_ISDIR(info.st_mode) ? format::TryExchange(from, to, ReplacedName(from))
                    : rename(from.c_str(), to.c_str()) == 0 ? 0
                                                            : errno;
  return error == 0 ? absl::OkStatus() : format::ErrnoToStatus(error, to, "replace");
}

std::string ReplacedName(const std::string& from) { return from + ".replaced"; }

}  // namespace seedlm::server
