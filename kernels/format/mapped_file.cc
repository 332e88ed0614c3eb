#include "kernels/format/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

int64_t ModifiedNs(const struct stat& info) {
  return static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
}

}  // namespace

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  MappedFile file;
  file.path_ = path;
  // Non-blocking, so that a FIFO is refused and not waited for.
  file.fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd_ < 0) return ErrnoToStatus(errno, path, "open");
  struct stat info {};
  if (fstat(file.fd_, &info) != 0) return ErrnoToStatus(errno, path, "examine");
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(Cat(Printable(path), ": is not a regular file"));
  }
  if (info.st_size == 0) {
    return absl::InvalidArgumentError(Cat(Printable(path), ": is empty"));
  }
  file.size_ = static_cast<size_t>(info.st_size);
  file.modified_ns_ = ModifiedNs(info);
  void* data = mmap(nullptr, file.size_, PROT_READ, MAP_PRIVATE, file.fd_, 0);
  if (data == MAP_FAILED) return ErrnoToStatus(errno, path, "map");
  file.data_ = static_cast<const std::byte*>(data);
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) close(fd_);
}

void MappedFile::Release(uint64_t offset, uint64_t length) const {
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (offset >= size_) return;
  const uint64_t end = length > size_ - offset ? size_ : offset + length;
  const uint64_t first = (offset + page - 1) / page * page;
  // The last page of the file belongs to the range although the file does not fill it.
  const uint64_t last = end == size_ ? end : end / page * page;
  if (first >= last) return;
  // Advice only: if the kernel declines, the pages stay and nothing is wrong.
  (void)madvise(const_cast<std::byte*>(data_) + first, last - first, MADV_DONTNEED);
}

absl::Status MappedFile::CheckUnchanged() const {
  struct stat info {};
  if (fstat(fd_, &info) != 0) return ErrnoToStatus(errno, path_, "examine");
  if (static_cast<size_t>(info.st_size) == size_ && ModifiedNs(info) == modified_ns_) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      Cat(Printable(path_), ": was changed while it was being read; start again"));
}

}  // namespace seedlm::format
