#include "server/storage/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

absl::StatusOr<std::string> AbsoluteOf(const std::string& path) {
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  if (error || path.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", format::Printable(path), "': is no name of a data directory"));
  }
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

absl::Status NoDirectory(const std::string& path) {
  return absl::InvalidArgumentError(
      absl::StrCat(format::Printable(path), ": is not a directory: no data directory"));
}

// What `action` on `what` would say for want of access to `path`.
absl::Status CheckAccess(const std::string& path, int mode, const std::string& what,
                         std::string_view action) {
  if (faccessat(AT_FDCWD, path.c_str(), mode, AT_EACCESS) == 0) return absl::OkStatus();
  return format::ErrnoToStatus(errno, what, action);
}

// Whether a directory can be made in `parent`: permissions do not tell of /proc, or of a quota. The
// one that is made goes at once. `action` on `what` is what cannot be done.
absl::Status TryMakeIn(const std::string& parent, const std::string& what,
                       std::string_view action) {
  std::string name = parent + "/.seedlm-check-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) return format::ErrnoToStatus(errno, what, action);
  (void)rmdir(name.c_str());
  return absl::OkStatus();
}

// Whether a file takes bytes in `directory`; it goes at once.
absl::Status TryWriteIn(const std::string& directory) {
  const std::string name = directory + "/.seedlm-check";  // one server has it
  const UniqueFd fd(
      open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return format::ErrnoToStatus(errno, directory, "write into");
  const std::string block(4096, '\0');
  const ssize_t written = write(fd.get(), block.data(), block.size());
  const int error = written < 0                                    ? errno
                    : written < static_cast<ssize_t>(block.size()) ? ENOSPC  // so it begins
                                                                   : 0;
  const absl::Status status =
      error == 0 ? absl::OkStatus() : format::ErrnoToStatus(error, directory, "write into");
  (void)unlink(name.c_str());
  return status;
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
  if (errno != EEXIST) return format::ErrnoToStatus(errno, path, "create directory");
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return absl::OkStatus();
  return NoDirectory(path);
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

absl::Status DataDir::Check(const std::string& path) {
  const absl::StatusOr<std::string> absolute = AbsoluteOf(path);
  if (!absolute.ok()) return absolute.status();
  struct stat info {};
  if (stat(absolute->c_str(), &info) != 0) {
    const std::string parent = std::filesystem::path(*absolute).parent_path().string();
    if (errno != ENOENT) return format::ErrnoToStatus(errno, *absolute, "create directory");
    const absl::Status access = CheckAccess(parent, W_OK | X_OK, *absolute, "create directory");
    return access.ok() ? TryMakeIn(parent, *absolute, "create directory") : access;
  }
  if (!S_ISDIR(info.st_mode)) return NoDirectory(*absolute);
  const std::string lock = *absolute + "/lock";
  absl::Status status = stat(lock.c_str(), &info) == 0
                            ? CheckAccess(lock, R_OK | W_OK, lock, "open")
                            : CheckAccess(*absolute, W_OK | X_OK, lock, "open");
  const std::string database = *absolute + "/jobs.sqlite";
  if (status.ok() && stat(database.c_str(), &info) == 0) {
    status = CheckAccess(database, R_OK | W_OK, database, "open");
  }
  return status.ok() ? TryMakeIn(*absolute, *absolute, "write into") : status;
}

absl::StatusOr<DataDir> DataDir::Open(const std::string& path) {
  const absl::StatusOr<std::string> normal = AbsoluteOf(path);
  if (!normal.ok()) return normal.status();
  std::string absolute = *normal;
  const bool is_new = !Exists(absolute + "/lock") && !Exists(absolute + "/jobs.sqlite");
  if (absl::Status status = MakeDirectory(absolute); !status.ok()) return status;
  absl::StatusOr<UniqueFd> lock = Lock(absolute);
  if (!lock.ok()) return lock.status();
  DataDir data_dir(std::move(absolute), *std::move(lock));
  data_dir.is_new_ = is_new;
  for (const std::string& directory :
       {data_dir.FoldersOf("").artifacts(), data_dir.FoldersOf("").uploads(), data_dir.owners()}) {
    if (absl::Status status = MakeDirectory(directory); !status.ok()) return status;
  }
  return data_dir;
}

absl::Status DataDir::CheckUsable() const {
  struct stat opened {};
  struct stat now {};
  const std::string lock = path_ + "/lock";
  if (fstat(lock_.get(), &opened) != 0) return format::ErrnoToStatus(errno, lock, "read");
  const bool there = stat(lock.c_str(), &now) == 0;
  if (!there && errno != ENOENT) return format::ErrnoToStatus(errno, lock, "read");
  if (!there || now.st_dev != opened.st_dev || now.st_ino != opened.st_ino) {
    return absl::FailedPreconditionError(absl::StrCat(
        format::Printable(path_),
        ": is not the data directory that this server has opened any more; put that one back, or "
        "stop the server"));
  }
  return TryWriteIn(path_);
}

bool DataDir::HasArtifacts() const {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto has_any = [&error](const std::string& directory) {
    return fs::directory_iterator(directory, error) != fs::directory_iterator() && !error;
  };
  std::vector<ArtifactFolders> folders = {FoldersOf("")};
  for (fs::directory_iterator it(owners(), error), end; !error && it != end; it.increment(error)) {
    folders.emplace_back(it->path().string());
  }
  return std::any_of(folders.begin(), folders.end(), [&](const ArtifactFolders& of) {
    return has_any(of.artifacts()) || has_any(of.uploads());
  });
}

absl::StatusOr<std::string> DataDir::PrepareDatabase() const {
  const std::string path = database();
  struct stat info {};
  const bool missing = stat(path.c_str(), &info) != 0 && errno == ENOENT;
  const bool empty = missing || info.st_size == 0;
  const std::string wal = path + "-wal";
  if (empty && stat(wal.c_str(), &info) == 0 && info.st_size > 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(format::Printable(path), ": is ", missing ? "missing" : "empty",
                     ", but its log is there, ", format::Printable(wal),
                     ", in which are the latest jobs: put the database back beside it, or move the "
                     "log away, too, "
                     "to start without jobs"));
  }
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!fd) return format::ErrnoToStatus(errno, path, "open");
  for (const char* suffix : {"", "-wal", "-shm"}) {  // made by SQLite like the first
    const std::string file = path + suffix;
    const bool open_to_others =
        stat(file.c_str(), &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    if (open_to_others && chmod(file.c_str(), S_IRUSR | S_IWUSR) != 0) {
      return format::ErrnoToStatus(errno, file, "chmod");
    }
  }
  if (!empty || !HasArtifacts()) return std::string();
  return absl::StrCat(
      format::Printable(path), ": was ", missing ? "missing" : "empty",
      " beside artifacts and uploads: no job is known any more, and the list begins empty. Their "
      "files are left alone, and can be listed, fetched and deleted. If it was lost, stop the "
      "server "
      "before it takes jobs, put the copy of a backup there, and start it again");
}

}  // namespace seedlm::server
