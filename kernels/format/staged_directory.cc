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
#include "kernels/format/hidden_name.h"
#include "kernels/format/text.h"

namespace seedlm::format {

namespace fs = std::filesystem;

absl::Status StagedDirectory::CheckTarget() const {
  struct stat info {};
  if (stat(path_.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoToStatus(errno, path_, "create");
  }
  if (if_exists_ == IfExists::kFail) return AlreadyExistsStatus(path_);
  if (!S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(Cat(Printable(path_), ": is a file, not a directory"));
  }
  return CheckReplaceable(path_, output_);
}

absl::StatusOr<StagedDirectory> StagedDirectory::Prepare(const std::string& path,
                                                         IfExists if_exists, NewOutput output) {
  StagedDirectory directory;
  directory.path_ = path;
  directory.if_exists_ = if_exists;
  directory.output_ = std::move(output);
  while (directory.path_.size() > 1 && directory.path_.ends_with('/')) directory.path_.pop_back();
  if (absl::Status status = directory.CheckTarget(); !status.ok()) return status;
  return directory;
}

absl::StatusOr<StagedDirectory> StagedDirectory::Create(const std::string& path, IfExists if_exists,
                                                        NewOutput output) {
  absl::StatusOr<StagedDirectory> directory = Prepare(path, if_exists, std::move(output));
  if (!directory.ok()) return directory;
  const std::string staging = TemporaryNameBeside(directory->path_);
  if (mkdir(staging.c_str(), 0777) != 0) return ErrnoToStatus(errno, path, "create");
  directory->working_path_ = staging;
  return directory;
}

absl::StatusOr<StagedDirectory> StagedDirectory::Resume(const std::string& path,
                                                        const std::string& working_path,
                                                        IfExists if_exists, NewOutput output) {
  absl::StatusOr<StagedDirectory> directory = Prepare(path, if_exists, std::move(output));
  if (!directory.ok()) return directory;
  for (;;) {
    if (mkdir(working_path.c_str(), 0777) != 0 && errno != EEXIST) {
      return ErrnoToStatus(errno, path, "create");
    }
    int& fd = directory->lock_;
    fd = open(working_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) continue;  // committed or given up in this moment
    if (fd < 0) return ErrnoToStatus(errno, path, "create");
    if (absl::Status status = LockForOne(fd, path); !status.ok()) return status;
    if (HasName(fd, working_path)) break;
    close(std::exchange(fd, -1));
    if (absl::Status status = directory->CheckTarget(); !status.ok()) return status;
  }
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
  std::swap(output_, other.output_);
  return *this;
}

StagedDirectory::~StagedDirectory() {
  if (!working_path_.empty() && !keep_) {
    std::error_code error;  // nobody to tell; what stays is hidden
    fs::remove_all(working_path_, error);
  }
  if (lock_ >= 0) close(lock_);  // last: nobody takes up what is being removed
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
    std::error_code unknown;
    if (!entry->is_directory(unknown)) continue;  // AtomicFile has seen to the files
    if (absl::Status status = SyncDirectoryOf(entry->path().string()); !status.ok()) return status;
  }
  if (error) return ErrnoToStatus(error.value(), working_path_, "list");
  if (absl::Status status = CheckTarget(); !status.ok()) return status;  // perhaps hours later
  // What is replaced has the working name in a moment: nobody may take that up and go on in it.
  const int old = lock_ < 0 ? -1 : open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (old >= 0) (void)LockForOne(old, path_);
  const int failed = PutInPlace();
  if (failed == 0) fs::remove_all(working_path_, error);  // the old directory, if there was one
  if (old >= 0) close(old);
  if (failed != 0) {
    if (failed == ENOTEMPTY || failed == EEXIST || failed == ENOTDIR) {
      return AlreadyExistsStatus(path_);
    }
    return ErrnoToStatus(failed, path_, "create");
  }
  working_path_.clear();
  return SyncDirectoryOf(path_);
}

int StagedDirectory::PutInPlace() const {
  // rename(2) never replaces a directory that has something in it.
  if (rename(working_path_.c_str(), path_.c_str()) == 0) return 0;
  if (if_exists_ == IfExists::kFail || (errno != ENOTEMPTY && errno != EEXIST)) return errno;
  return TryExchange(working_path_, path_, TemporaryNameBeside(path_));
}

}  // namespace seedlm::format
