#include "kernels/format/staged_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "kernels/format/durable_rename.h"
#include "kernels/format/file_io.h"
#include "kernels/format/text.h"

namespace seedlm::format {

namespace fs = std::filesystem;

absl::StatusOr<StagedDirectory> StagedDirectory::Check(const std::string& path,
                                                       IfExists if_exists) {
  StagedDirectory directory;
  directory.path_ = path;
  directory.if_exists_ = if_exists;
  while (directory.path_.size() > 1 && directory.path_.ends_with('/')) directory.path_.pop_back();
  struct stat info {};
  if (stat(directory.path_.c_str(), &info) == 0) {
    if (if_exists == IfExists::kFail) return AlreadyExistsStatus(directory.path_);
    if (!S_ISDIR(info.st_mode)) {
      return absl::InvalidArgumentError(Cat(Printable(path), ": is a file, not a directory"));
    }
  } else if (errno != ENOENT) {
    return ErrnoToStatus(errno, path, "create");
  }
  return directory;
}

absl::StatusOr<StagedDirectory> StagedDirectory::Create(const std::string& path,
                                                        IfExists if_exists) {
  absl::StatusOr<StagedDirectory> directory = Check(path, if_exists);
  if (!directory.ok()) return directory;
  const std::string staging = TemporaryNameBeside(directory->path_);
  if (mkdir(staging.c_str(), 0777) != 0) return ErrnoToStatus(errno, path, "create");
  directory->working_path_ = staging;
  return directory;
}

absl::StatusOr<StagedDirectory> StagedDirectory::Resume(const std::string& path,
                                                        const std::string& working_path,
                                                        IfExists if_exists) {
  absl::StatusOr<StagedDirectory> directory = Check(path, if_exists);
  if (!directory.ok()) return directory;
  if (mkdir(working_path.c_str(), 0777) != 0 && errno != EEXIST) {
    return ErrnoToStatus(errno, path, "create");
  }
  directory->lock_ = open(working_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (directory->lock_ < 0) return ErrnoToStatus(errno, path, "create");
  if (absl::Status status = LockForOne(directory->lock_, path); !status.ok()) return status;
  directory->working_path_ = working_path;
  return directory;
}

StagedDirectory::StagedDirectory(StagedDirectory&& other) noexcept { *this = std::move(other); }

StagedDirectory& StagedDirectory::operator=(StagedDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(working_path_, other.working_path_);
  std::swap(if_exists_, other.if_exists_);
  std::swap(lock_, other.lock_);
  std::swap(keep_, other.keep_);
  return *this;
}

StagedDirectory::~StagedDirectory() {
  if (lock_ >= 0) close(lock_);
  if (working_path_.empty() || keep_) return;
  std::error_code error;  // nobody to tell; what stays is hidden
  fs::remove_all(working_path_, error);
}

absl::StatusOr<std::string> StagedDirectory::PathFor(const std::string& relative_path) const {
  const fs::path path = fs::path(working_path_) / relative_path;
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) return ErrnoToStatus(error.value(), path.parent_path().string(), "create");
  return path.string();
}

absl::Status StagedDirectory::Commit() {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(working_path_, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (!entry->is_directory()) continue;  // AtomicFile has seen to the files and their directory
    if (absl::Status status = SyncDirectoryOf(entry->path().string()); !status.ok()) return status;
  }
  if (error) return ErrnoToStatus(error.value(), working_path_, "list");
  if (const int failed = PutInPlace(); failed != 0) {
    if (failed == ENOTEMPTY || failed == EEXIST || failed == ENOTDIR) {
      return AlreadyExistsStatus(path_);
    }
    return ErrnoToStatus(failed, path_, "create");
  }
  fs::remove_all(working_path_, error);  // the old directory, if there was one
  working_path_.clear();
  return SyncDirectoryOf(path_);
}

int StagedDirectory::PutInPlace() const {
  // rename(2) never replaces a directory that has something in it.
  if (rename(working_path_.c_str(), path_.c_str()) == 0) return 0;
  if (if_exists_ == IfExists::kFail || (errno != ENOTEMPTY && errno != EEXIST)) return errno;
  if (renameat2(AT_FDCWD, working_path_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system without that flag (NFS): two steps, and the first one is undone if the second
  // fails.
  const std::string old = TemporaryNameBeside(path_);
  if (rename(path_.c_str(), old.c_str()) != 0) return errno;
  if (rename(working_path_.c_str(), path_.c_str()) != 0) {
    const int failed = errno;
    (void)rename(old.c_str(), path_.c_str());
    return failed;
  }
  (void)rename(old.c_str(), working_path_.c_str());  // Commit deletes it there
  return 0;
}

}  // namespace seedlm::format
