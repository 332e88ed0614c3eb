#include "kernels/format/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "kernels/format/durable_rename.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

// What stands under the final name must be free, or a file that may be replaced.
absl::Status CheckTarget(const std::string& path, IfExists if_exists) {
  if (path.empty() || path.back() == '/') {
    return absl::InvalidArgumentError(Cat("'", Printable(path), "': is no file name"));
  }
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoToStatus(errno, path, "create");
  }
  if (if_exists == IfExists::kFail) return AlreadyExistsStatus(path);
  if (S_ISREG(info.st_mode) || S_ISLNK(info.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Cat(Printable(path), ": is not a file, so it is not replaced; choose another name"));
}

// Reserves the space. A file that cannot fit is refused before it fills what is left of the disk.
absl::Status Reserve(int fd, uint64_t size, const std::string& path) {
  struct statvfs disk {};
  if (fstatvfs(fd, &disk) == 0 && disk.f_blocks > 0) {  // 0: a file system that does not say
    const uint64_t free_bytes = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (size > free_bytes) {
      return absl::ResourceExhaustedError(Cat(Printable(path), ": needs ", size,
                                              " bytes, the disk has ", free_bytes,
                                              " left; free some or write elsewhere"));
    }
  }
  if (size == 0) return absl::OkStatus();
  const off_t length = static_cast<off_t>(size);
  int result = 0;
  do {
    result = fallocate(fd, 0, 0, length);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) result = ftruncate(fd, length);
  return result == 0 ? absl::OkStatus() : ErrnoToStatus(errno, path, "reserve space");
}

}  // namespace

absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path, uint64_t size,
                                              IfExists if_exists) {
  if (absl::Status status = CheckTarget(path, if_exists); !status.ok()) return status;
  AtomicFile file;
  file.path_ = path;
  file.if_exists_ = if_exists;
  do {  // O_EXCL: never somebody else's file
    file.temporary_path_ = TemporaryNameBeside(path);
    file.fd_ = open(file.temporary_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (file.fd_ < 0 && errno == EEXIST);
  if (file.fd_ < 0) {
    const int error = errno;
    file.temporary_path_.clear();
    return ErrnoToStatus(error, path, "create");
  }
  if (absl::Status status = Reserve(file.fd_, size, path); !status.ok()) return status;
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_path_, other.temporary_path_);
  std::swap(fd_, other.fd_);
  std::swap(if_exists_, other.if_exists_);
  return *this;
}

AtomicFile::~AtomicFile() { Abandon(); }

void AtomicFile::Abandon() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_path_.empty()) (void)unlink(temporary_path_.c_str());
  fd_ = -1;
  temporary_path_.clear();
}

absl::Status AtomicFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoToStatus(errno, path_, "write");
    }
    offset += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::ReadAt(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, path_, "read back");
    if (count == 0) {
      return absl::InternalError(
          Cat(Printable(path_), ": cannot read back: ends before byte ", offset));
    }
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  if (fd_ < 0) {
    return absl::FailedPreconditionError(
        Cat(Printable(path_), ": was committed or abandoned before"));
  }
  int error = fsync(fd_) == 0 ? 0 : errno;
  if (error == 0 && close(std::exchange(fd_, -1)) != 0) error = errno;
  if (error == 0) {
    if (if_exists_ == IfExists::kReplace) {
      error = rename(temporary_path_.c_str(), path_.c_str()) == 0 ? 0 : errno;
    } else {
      error = RenameNoReplace(temporary_path_, path_);
    }
  }
  if (error != 0) {
    Abandon();
    return error == EEXIST ? AlreadyExistsStatus(path_) : ErrnoToStatus(error, path_, "write");
  }
  temporary_path_.clear();
  return SyncDirectoryOf(path_);
}

}  // namespace seedlm::format
