#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "kernels/format/atomic_file.h"
#include "kernels/format/file_io.h"
#include "kernels/format/input_file.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {}  // namespace

absl::Status ErrnoToStatus(int error, std::string_view path, std::string_view action) {
  const std::string message =
      Cat(Printable(path), ": cannot ", action, ": ", std::generic_category().message(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EEXIST:
      return absl::AlreadyExistsError(message);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    case EISDIR:
    case EINVAL:
    case ELOOP:
    case ENAMETOOLONG:
      return absl::InvalidArgumentError(message);
    default:
      return IoFailed(message);
  }
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view content,
                                 IfExists if_exists) {
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(path, content.size(), if_exists);
  if (!file.ok()) return file.status();
  const absl::Status written = file->WriteAt(0, std::as_bytes(std::span(content)));
  return written.ok() ? file->Commit() : written;
}

absl::StatusOr<std::string> ReadSmallFile(int fd, const std::string& path, uint64_t limit) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoToStatus(errno, path, "examine");
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(Cat(Printable(path), ": is not a regular file"));
  }
  if (static_cast<uint64_t>(info.st_size) > limit) {
    return absl::InvalidArgumentError(Cat(Printable(path), ": is larger than ", limit, " bytes"));
  }
  std::string content(static_cast<size_t>(info.st_size), '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = read(fd, content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, path, "read");
    if (count == 0) break;  // became shorter meanwhile
    done += static_cast<size_t>(count);
  }
  content.resize(done);
  return content;
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, uint64_t limit) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoToStatus(errno, path, "open");
  absl::StatusOr<std::string> content = ReadSmallFile(fd, path, limit);
  close(fd);
  return content;
}

absl::Status CopyFileAtomically(const std::string& from, const std::string& to,
                                IfExists if_exists) {
  const absl::StatusOr<InputFile> source = InputFile::Open(from);
  if (!source.ok()) return source.status();
  absl::StatusOr<AtomicFile> target = AtomicFile::Create(to, source->size(), if_exists);
  if (!target.ok()) return target.status();
  constexpr uint64_t kPieceBytes = 4 << 20;
  std::vector<std::byte> piece;
  for (uint64_t done = 0; done < source->size(); done += piece.size()) {
    piece.resize(std::min(kPieceBytes, source->size() - done));
    absl::Status status = source->ReadAt(done, piece);
    if (status.ok()) status = target->WriteAt(done, piece);
    if (!status.ok()) return status;
  }
  return target->Commit();
}

}  // namespace seedlm::format
