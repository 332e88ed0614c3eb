#include "kernels/format/durable_rename.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <random>

#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::format {

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string TemporaryNameBeside(const std::string& path) {
  std::random_device random;
  const uint64_t number = static_cast<uint64_t>(random()) << 32 | random();
  return Cat(DirectoryOf(path), "/.seedlm-", absl::Hex(number, absl::kZeroPad16), ".tmp");
}

absl::Status AlreadyExistsStatus(const std::string& path) {
  return absl::AlreadyExistsError(
      Cat(Printable(path), ": already exists; remove it or ask for it to be replaced"));
}

int RenameNoReplace(const std::string& from, const std::string& to) {
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system without that flag (NFS): a hard link does not overwrite either.
  if (link(from.c_str(), to.c_str()) != 0) return errno;
  (void)unlink(from.c_str());  // the file has its final name; a failure leaves a second, hidden one
  return 0;
}

absl::Status SyncDirectoryOf(const std::string& path) {
  const std::string directory = DirectoryOf(path);
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoToStatus(errno, directory, "open");
  const int error = fsync(fd) == 0 ? 0 : errno;
  close(fd);
  // EINVAL: a file system whose directories need no fsync and know none.
  return error == 0 || error == EINVAL ? absl::OkStatus() : ErrnoToStatus(error, directory, "sync");
}

}  // namespace seedlm::format
