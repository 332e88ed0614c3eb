#include "server/storage/tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

bool LacksFlag(int error) { return error == EINVAL || error == ENOSYS; }

}  // namespace

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

absl::Status MakeDirectories(const std::string& root, const std::string& path) {
  size_t end = root.size();
  while (end < path.size()) {
    end = path.find('/', end + 1);
    const std::string directory = path.substr(0, end);
    if (mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST) {
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

absl::Status SyncDirectory(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return format::ErrnoToStatus(errno, path, "open");
  // EINVAL: a file system whose directories need no fsync and know none.
  if (fsync(fd.get()) == 0 || errno == EINVAL) return absl::OkStatus();
  return format::ErrnoToStatus(errno, path, "sync");
}

absl::Status SyncTree(const std::string& path) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    if (!it->is_directory(error) || it->is_symlink(error)) continue;
    if (absl::Status status = SyncDirectory(it->path().string()); !status.ok()) return status;
  }
  if (error) return format::ErrnoToStatus(error.value(), path, "list");
  return SyncDirectory(path);
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? format::ErrnoToStatus(error.value(), path, "remove") : absl::OkStatus();
}

absl::Status RenameNoReplace(const std::string& from, const std::string& to) {
  int error =
      renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0 ? 0 : errno;
  if (LacksFlag(error)) {  // such as NFS: look first, with a moment in between
    struct stat info {};
    if (lstat(to.c_str(), &info) == 0) {
      error = EEXIST;
    } else {
      error = rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
    }
  }
  if (error == EEXIST || error == ENOTEMPTY) {
    return absl::AlreadyExistsError(absl::StrCat(
        format::Printable(to), ": already exists; remove it or ask for it to be replaced"));
  }
  return error == 0 ? absl::OkStatus() : format::ErrnoToStatus(error, to, "create");
}

absl::Status RenameReplacing(const std::string& from, const std::string& to) {
  struct stat info {};
  if (lstat(to.c_str(), &info) != 0) return RenameNoReplace(from, to);
  if (!S_ISDIR(info.st_mode)) {
    return rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus()
                                                 : format::ErrnoToStatus(errno, to, "replace");
  }
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    return absl::OkStatus();
  }
  if (!LacksFlag(errno)) return format::ErrnoToStatus(errno, to, "replace");
  const std::string replaced = ReplacedName(from);
  if (rename(to.c_str(), replaced.c_str()) != 0) {
    return format::ErrnoToStatus(errno, to, "replace");
  }
  if (rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    (void)rename(replaced.c_str(), to.c_str());
    return format::ErrnoToStatus(error, to, "replace");
  }
  // `to` is the new one: whatever becomes of the old one is no failure any more.
  (void)rename(replaced.c_str(), from.c_str());
  return absl::OkStatus();
}

std::string ReplacedName(const std::string& from) { return from + ".replaced"; }

}  // namespace seedlm::server
