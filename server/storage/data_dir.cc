#include "server/storage/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  if (errno != EEXIST) return format::ErrnoToStatus(errno, path, "create directory");
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(format::Printable(path), ": is not a directory: no data directory"));
}

std::string HolderOf(int fd) {
  char text[32];
  const ssize_t count = pread(fd, text, sizeof text, 0);
  const std::string pid(absl::StripAsciiWhitespace(
      absl::string_view(text, count > 0 ? static_cast<size_t>(count) : 0)));
  return pid.empty() ? "another process" : "process " + pid;
}

absl::StatusOr<UniqueFd> Lock(const std::string& directory) {
  const std::string path = directory + "/lock";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return format::ErrnoToStatus(errno, path, "open");
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return format::ErrnoToStatus(errno, path, "lock");
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          format::Printable(directory), ": is in use by a server, ",
                          HolderOf(fd.get()), "; stop that one or name another data directory")),
                      "DATA_DIR_IN_USE");
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(fd.get(), 0) != 0 ||
      pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return format::ErrnoToStatus(errno, path, "write");
  }
  return fd;
}

}  // namespace

absl::StatusOr<DataDir> DataDir::Open(const std::string& path) {
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  if (error || path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", format::Printable(path), "': is no name of a data directory"));
  }
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  if (absl::Status status = MakeDirectory(absolute); !status.ok()) return status;
  absl::StatusOr<UniqueFd> lock = Lock(absolute);
  if (!lock.ok()) return lock.status();
  DataDir data_dir(std::move(absolute), *std::move(lock));
  for (const std::string& directory :
       {data_dir.FoldersOf("").artifacts(), data_dir.FoldersOf("").uploads(), data_dir.owners()}) {
    if (absl::Status status = MakeDirectory(directory); !status.ok()) return status;
  }
  return data_dir;
}

}  // namespace seedlm::server
