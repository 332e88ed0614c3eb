#include "kernels/format/file_io.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/cord.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

constexpr uint64_t kStatBlock = 512;  // the unit of st_blocks, whatever the file system's

}  // namespace

absl::Status IoFailed(std::string_view message) {
  absl::Status status = absl::InternalError(AbslPiece(message));
  status.SetPayload(kReasonPayload, absl::Cord(kIoFailed));
  return status;
}

absl::Status WriteAllAt(int fd, const std::string& path, uint64_t offset,
                        std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoToStatus(errno, path, "write");
    }
    offset += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status ReadAllAt(int fd, const std::string& path, uint64_t offset,
                       std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, path, "read back");
    if (count == 0) {
      return IoFailed(Cat(Printable(path), ": cannot read back: ends before byte ", offset));
    }
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status CheckRoom(int fd, const std::string& path, uint64_t bytes) {
  struct statvfs disk {};
  if (fstatvfs(fd, &disk) != 0 || disk.f_blocks == 0) return absl::OkStatus();
  const uint64_t left = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  if (bytes <= left) return absl::OkStatus();
  return absl::ResourceExhaustedError(Cat(Printable(path), ": needs ", bytes,
                                          " bytes, the disk has ", left,
                                          " left; free some or write elsewhere"));
}

namespace {

// `mode`: of fallocate(2).
absl::Status Reserve(int fd, const std::string& path, uint64_t size, int mode) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoToStatus(errno, path, "examine");
  const uint64_t held = std::min(size, static_cast<uint64_t>(info.st_blocks) * kStatBlock);
  if (absl::Status status = CheckRoom(fd, path, size - held); !status.ok()) return status;
  if (size == 0) return absl::OkStatus();
  const off_t length = static_cast<off_t>(size);
  int result = 0;
  do {
    result = fallocate(fd, mode, 0, length);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
    result = mode == 0 && length > info.st_size ? ftruncate(fd, length) : 0;
  }
  return result == 0 ? absl::OkStatus() : ErrnoToStatus(errno, path, "reserve space");
}

}  // namespace

absl::Status ReserveSpace(int fd, const std::string& path, uint64_t size) {
  return Reserve(fd, path, size, 0);
}

absl::Status ReserveBeyondEnd(int fd, const std::string& path, uint64_t size) {
  return Reserve(fd, path, size, FALLOC_FL_KEEP_SIZE);
}

absl::Status LockForOne(int fd, const std::string& path) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return ErrnoToStatus(errno, path, "lock");
  return absl::AbortedError(
      Cat(Printable(path), ": another process is writing it; wait for that one"));
}

bool HasName(int fd, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return fstat(fd, &opened) == 0 && lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

}  // namespace seedlm::format
