#include "kernels/format/input_file.h"

#include <fcntl.h>
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

absl::Status Changed(const std::string& path, std::string_view how, std::string_view what) {
  return absl::FailedPreconditionError(Cat(Printable(path), ": ", how, " while ",
                                           what.empty() ? "it" : what,
                                           " was being read; start again"));
}

}  // namespace

absl::StatusOr<InputFile> InputFile::Open(const std::string& path) {
  InputFile file;
  file.path_ = path;
  // Non-blocking, so that a FIFO is refused and not waited for.
  file.fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd_ < 0) return ErrnoToStatus(errno, path, "open");
  struct stat info {};
  if (fstat(file.fd_, &info) != 0) return ErrnoToStatus(errno, path, "examine");
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(Cat(Printable(path), ": is not a regular file"));
  }
  file.size_ = static_cast<uint64_t>(info.st_size);
  file.modified_ns_ = ModifiedNs(info);
  return file;
}

InputFile::InputFile(InputFile&& other) noexcept { *this = std::move(other); }

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(modified_ns_, other.modified_ns_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ >= 0) close(fd_);
}

absl::Status InputFile::ReadAt(uint64_t offset, std::span<std::byte> bytes,
                               std::string_view what) const {
  while (!bytes.empty()) {
    const ssize_t count = pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    const int error = errno;
    if (count < 0 && error == EINTR) continue;
    if (count < 0) return ErrnoToStatus(error, path_, what.empty() ? "read" : Cat("read ", what));
    if (count == 0) return Changed(path_, "became shorter", what);
    offset += static_cast<uint64_t>(count);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return CheckUnchanged(what);  // what was read may be of before and after a change
}

absl::Status InputFile::CheckUnchanged(std::string_view what) const {
  struct stat info {};
  if (fstat(fd_, &info) != 0) return ErrnoToStatus(errno, path_, "examine");
  if (static_cast<uint64_t>(info.st_size) == size_ && ModifiedNs(info) == modified_ns_) {
    return absl::OkStatus();
  }
  return Changed(path_, "was changed", what);
}

}  // namespace seedlm::format
