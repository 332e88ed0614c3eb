#include "kernels/format/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

constexpr uintptr_t kHugePage = 2 << 20;

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
  if (offset >= size_) return;
  const auto base = reinterpret_cast<uintptr_t>(data_);
  const uintptr_t end = base + (length > size_ - offset ? size_ : offset + length);
  // Outward to whole huge pages: the page cache maps a file in such pieces where it can, and a read
  // of a neighbour would bring back a whole piece of which only a part was released.
  const uintptr_t first = std::max(base, (base + offset) / kHugePage * kHugePage);
  const uintptr_t last = std::min(base + size_, (end + kHugePage - 1) / kHugePage * kHugePage);
  // Advice only: if the kernel declines, the pages stay and nothing is wrong.
  (void)madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

absl::Status MappedFile::ReadAt(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, path_, "read");
    if (count == 0) break;
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  if (bytes.empty()) return CheckUnchanged();  // what was read may be of before and after a change
  return absl::FailedPreconditionError(
      Cat(Printable(path_), ": became shorter while it was being read; start again"));
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
