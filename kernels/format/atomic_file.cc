#include "kernels/format/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "kernels/format/durable_rename.h"
#include "kernels/format/file_io.h"
#include "kernels/format/hidden_name.h"
#include "kernels/format/page_cache.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

constexpr mode_t kPermissions = 0777;

// Gives the new file those of the old one at `path`, if there is one.
void KeepPermissions(int fd, const std::string& path) {
  struct stat old {};
  if (lstat(path.c_str(), &old) != 0 || !S_ISREG(old.st_mode)) return;
  (void)fchmod(fd, old.st_mode & kPermissions);
}

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
  if (absl::Status status = ReserveSpace(file.fd_, path, size); !status.ok()) return status;
  return file;
}

absl::StatusOr<AtomicFile> AtomicFile::Resume(const std::string& path,
                                              const std::string& temporary_path, uint64_t size,
                                              IfExists if_exists) {
  if (absl::Status status = CheckTarget(path, if_exists); !status.ok()) return status;
  AtomicFile file;
  file.path_ = path;
  file.if_exists_ = if_exists;
  for (;;) {
    file.fd_ = open(temporary_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file.fd_ < 0) return ErrnoToStatus(errno, path, "create");
    if (absl::Status status = LockForOne(file.fd_, path); !status.ok()) return status;
    if (HasName(file.fd_, temporary_path)) break;
    close(std::exchange(file.fd_, -1));  // committed or given up before the lock was ours
    if (absl::Status status = CheckTarget(path, if_exists); !status.ok()) return status;
  }
  file.temporary_path_ = temporary_path;  // ours from here on
  file.keep_ = true;                      // an error takes nothing away from an earlier process
  struct stat info {};
  if (fstat(file.fd_, &info) != 0) return ErrnoToStatus(errno, path, "examine");
  file.written_ = static_cast<uint64_t>(info.st_size);
  if (file.written_ > size) {
    if (absl::Status status = file.Clear(); !status.ok()) return status;
  }
  // The length says how much has come, so that it must not grow by the reservation.
  if (absl::Status status = ReserveBeyondEnd(file.fd_, path, size); !status.ok()) {
    file.keep_ = file.written_ > 0;
    return status;
  }
  file.keep_ = false;
  return file;
}

absl::Status AtomicFile::Clear() {
  written_ = 0;
  return ftruncate(fd_, 0) == 0 ? absl::OkStatus() : ErrnoToStatus(errno, path_, "truncate");
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept { *this = std::move(other); }

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_path_, other.temporary_path_);
  std::swap(fd_, other.fd_);
  std::swap(written_, other.written_);
  std::swap(keep_, other.keep_);
  std::swap(if_exists_, other.if_exists_);
  return *this;
}

AtomicFile::~AtomicFile() { Abandon(); }

void AtomicFile::Abandon() {
  if (!temporary_path_.empty() && !keep_) (void)unlink(temporary_path_.c_str());
  if (fd_ >= 0) close(fd_);  // last: nobody takes up what is being removed
  fd_ = -1;
  temporary_path_.clear();
}

absl::Status AtomicFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) const {
  absl::Status status = WriteAllAt(fd_, path_, offset, bytes);
  if (status.ok()) WrotePast(fd_, offset, bytes.size());
  return status;
}

absl::Status AtomicFile::ReadAt(uint64_t offset, std::span<std::byte> bytes) const {
  return ReadAllAt(fd_, path_, offset, bytes);
}

absl::Status AtomicFile::Commit() {
  if (fd_ < 0) {
    return absl::FailedPreconditionError(
        Cat(Printable(path_), ": was committed or abandoned before"));
  }
  if (if_exists_ == IfExists::kReplace) KeepPermissions(fd_, path_);
  int error = fsync(fd_) == 0 ? 0 : errno;
  if (error == 0) {  // still open, and locked after Resume: nobody takes up what has its final name
    if (if_exists_ == IfExists::kReplace) {
      error = rename(temporary_path_.c_str(), path_.c_str()) == 0 ? 0 : errno;
    } else {
      error = TryRenameNoReplace(temporary_path_, path_);
    }
  }
  if (error != 0) {
    Abandon();
    return error == EEXIST ? AlreadyExistsStatus(path_) : ErrnoToStatus(error, path_, "write");
  }
  temporary_path_.clear();
  close(std::exchange(fd_, -1));  // fsync has told all that could go wrong
  return SyncDirectoryOf(path_);
}

}  // namespace seedlm::format
