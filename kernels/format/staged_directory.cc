#include "kernels/format/staged_directory.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "kernels/format/durable_rename.h"
#include "kernels/format/text.h"

namespace seedlm::format {

namespace fs = std::filesystem;

absl::StatusOr<StagedDirectory> StagedDirectory::Create(const std::string& path,
                                                        IfExists if_exists) {
  StagedDirectory directory;
  directory.path_ = path;
  while (directory.path_.size() > 1 && directory.path_.ends_with('/')) directory.path_.pop_back();
  struct stat info {};
  if (stat(directory.path_.c_str(), &info) == 0) {
    if (if_exists == IfExists::kFail) return AlreadyExistsStatus(directory.path_);
    if (!S_ISDIR(info.st_mode)) {
      return absl::InvalidArgumentError(Cat(Printable(path), ": is a file, not a directory"));
    }
    directory.working_path_ = directory.path_;
    return directory;
  }
  if (errno != ENOENT) return ErrnoToStatus(errno, path, "create");
  const std::string staging = TemporaryNameBeside(directory.path_);
  if (mkdir(staging.c_str(), 0777) != 0) return ErrnoToStatus(errno, path, "create");
  directory.working_path_ = staging;
  return directory;
}

StagedDirectory::StagedDirectory(StagedDirectory&& other) noexcept { *this = std::move(other); }

StagedDirectory& StagedDirectory::operator=(StagedDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(working_path_, other.working_path_);
  return *this;
}

StagedDirectory::~StagedDirectory() {
  if (working_path_.empty() || !is_staged()) return;
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
  if (!is_staged()) return absl::OkStatus();
  std::error_code error;
  for (fs::recursive_directory_iterator entry(working_path_, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (absl::Status status = SyncDirectoryOf(entry->path().string()); !status.ok()) return status;
  }
  if (error) return ErrnoToStatus(error.value(), working_path_, "list");
  // rename(2) never replaces a directory that has something in it.
  if (rename(working_path_.c_str(), path_.c_str()) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) {
      return AlreadyExistsStatus(path_);
    }
    return ErrnoToStatus(errno, path_, "create");
  }
  working_path_.clear();
  return SyncDirectoryOf(path_);
}

}  // namespace seedlm::format
