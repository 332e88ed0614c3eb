#include "server/storage/staged_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "kernels/format/atomic_file.h"
#include "kernels/format/file_io.h"

namespace seedlm::server {

absl::StatusOr<StagedFile> StagedFile::Open(const std::string& path, uint64_t size) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0) return format::ErrnoToStatus(errno, path, "create");
  if (info.st_size > static_cast<off_t>(size) &&
      ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return format::ErrnoToStatus(errno, path, "shorten");
  }
  if (absl::Status status = format::ReserveSpace(fd.get(), path, size); !status.ok()) return status;
  return StagedFile(path, std::move(fd));
}

absl::Status StagedFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  absl::Status status = format::WriteAllAt(fd_.get(), path_, offset, bytes);
  *unsynced_ = true;  // after the bytes: a Sync that sees it has them
  return status;
}

absl::Status StagedFile::ReadAt(uint64_t offset, std::span<std::byte> bytes) const {
  return format::ReadAllAt(fd_.get(), path_, offset, bytes);
}

absl::Status StagedFile::Sync() {
  if (sync_error_ == 0 && unsynced_->exchange(false) && fdatasync(fd_.get()) != 0) {
    sync_error_ = errno;
  }
  return sync_error_ == 0 ? absl::OkStatus() : format::ErrnoToStatus(sync_error_, path_, "sync");
}

}  // namespace seedlm::server
