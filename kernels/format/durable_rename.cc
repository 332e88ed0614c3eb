#include "kernels/format/durable_rename.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

bool LacksFlag(int error) { return error == EINVAL || error == ENOSYS; }

}  // namespace

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status AlreadyExistsStatus(const std::string& path) {
  return absl::AlreadyExistsError(
      Cat(Printable(path), ": already exists; remove it or ask for it to be replaced"));
}

int TryRenameNoReplace(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (!LacksFlag(errno)) return errno;
  struct stat info {};
  if (lstat(from.c_str(), &info) != 0) return errno;
  if (!S_ISDIR(info.st_mode)) {  // a hard link does not overwrite either
    if (link(from.c_str(), to.c_str()) != 0) return errno;
    (void)unlink(from.c_str());  // it has its final name; a failure leaves a second, hidden one
    return 0;
  }
  if (lstat(to.c_str(), &info) == 0) return EEXIST;
  return rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

int TryExchange(const std::string& from, const std::string& to, const std::string& aside) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return 0;
  if (!LacksFlag(errno)) return errno;
  if (rename(to.c_str(), aside.c_str()) != 0) return errno;
  if (rename(from.c_str(), to.c_str()) != 0) {
    const int failed = errno;
    (void)rename(aside.c_str(), to.c_str());
    return failed;
  }
  (void)rename(aside.c_str(), from.c_str());  // `to` is the new one: nothing is a failure any more
  return 0;
}

absl::Status SyncDirectory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoToStatus(errno, directory, "open");
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  // EINVAL: a file system whose directories need no fsync and know none.
  return error == 0 || error == EINVAL ? absl::OkStatus() : ErrnoToStatus(error, directory, "sync");
}

absl::Status SyncDirectoryOf(const std::string& path) { return SyncDirectory(DirectoryOf(path)); }

}  // namespace seedlm::format
