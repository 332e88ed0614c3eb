#include "client/output_path.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/checkpoint.h"

namespace seedlm::client {
namespace {

namespace fs = std::filesystem;

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return format::ErrnoToStatus(errno, path, "open");
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  return result == 0 ? absl::OkStatus() : format::ErrnoToStatus(error, path, "sync");
}

bool Contains(const fs::path& outer, const fs::path& inner) {
  return absl::StartsWith(inner.string(), outer.string() + "/");
}

absl::Status CheckParent(const std::string& out) {
  const std::string parent = fs::path(out).parent_path().string();
  std::error_code error;
  if (!fs::is_directory(parent, error)) {
    return absl::NotFoundError(absl::StrCat(parent, ": no such directory; create it first"));
  }
  if (access(parent.c_str(), W_OK | X_OK) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        parent, ": cannot write in this directory; choose another place for the output"));
  }
  return absl::OkStatus();
}

absl::Status CheckOverlap(const std::string& in, const std::string& out) {
  std::error_code error;
  if (fs::equivalent(in, out, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(out, ": is the input itself; choose another output"));
  }
  const fs::path real_in = fs::weakly_canonical(in, error);
  const fs::path real_out = fs::weakly_canonical(out, error);
  if (Contains(real_in, real_out) || Contains(real_out, real_in)) {
    return absl::InvalidArgumentError(
        absl::StrCat(out, ": input and output lie in each other; choose another output"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("a path is empty; give a file or directory");
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const fs::path given(trimmed);
  const std::string last = given.filename().string();
  const bool whole = last.empty() || last == "." || last == "..";
  const fs::path resolvable = whole ? given : given.parent_path();
  std::error_code error;
  const fs::path base = fs::canonical(resolvable.empty() ? fs::path(".") : resolvable, error);
  if (error == std::errc::no_such_file_or_directory) {
    return absl::NotFoundError(
        absl::StrCat(resolvable.string(), ": no such directory; create it first"));
  }
  if (error) return format::ErrnoToStatus(error.value(), resolvable.string(), "find");
  return whole ? base.string() : (base / last).string();
}

absl::Status CheckOutput(const std::string& in, const std::string& out, bool out_is_directory,
                         bool force) {
  std::error_code error;
  const auto existing = fs::symlink_status(out, error).type();
  if (existing != fs::file_type::not_found) {
    if (!force) {
      return absl::AlreadyExistsError(
          absl::StrCat(out, ": exists already; use --force to replace it"));
    }
    if (fs::is_directory(out, error) != out_is_directory) {
      return absl::InvalidArgumentError(
          absl::StrCat(out,
                       out_is_directory ? ": is a file, but the output is a directory"
                                        : ": is a directory, but the output is a file",
                       "; choose another output"));
    }
    if (out_is_directory && !fs::is_empty(out, error) && !format::Checkpoint::Open(out).ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat(out, ": holds no checkpoint, so it is not replaced; remove it first"));
    }
  }
  if (!in.empty()) {
    if (absl::Status status = CheckOverlap(in, out); !status.ok()) return status;
  }
  return CheckParent(out);
}

absl::StatusOr<StagedDirectory> StagedDirectory::Create(const std::string& final_path, bool force) {
  const fs::path path(final_path);
  auto temporary =
      TemporaryDirectory::Create(path.parent_path().string(), path.filename().string());
  if (!temporary.ok()) return temporary.status();
  return StagedDirectory(*std::move(temporary), final_path, force);
}

absl::StatusOr<std::string> StagedDirectory::PathFor(const std::string& relative) const {
  if (!IsSafeRelativePath(relative)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", relative, "': a path that leaves its directory; refused"));
  }
  const fs::path full = fs::path(path()) / relative;
  std::error_code error;
  fs::create_directories(full.parent_path(), error);
  if (error) {
    return format::ErrnoToStatus(error.value(), full.parent_path().string(), "create");
  }
  return full.string();
}

absl::Status StagedDirectory::Commit() {
  const mode_t mask = umask(0);
  umask(mask);
  const std::string staged = path();
  if (chmod(staged.c_str(), 0777 & ~mask) != 0) {
    return format::ErrnoToStatus(errno, staged, "set the mode of");
  }
  for (const auto& entry : fs::recursive_directory_iterator(staged)) {
    if (!entry.is_directory()) continue;
    if (absl::Status status = SyncDirectory(entry.path().string()); !status.ok()) return status;
  }
  if (absl::Status status = SyncDirectory(staged); !status.ok()) return status;
  int renamed =
      renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, final_path_.c_str(), RENAME_NOREPLACE);
  if (renamed != 0 && errno == EINVAL) {                    // a file system without that flag
    renamed = rename(staged.c_str(), final_path_.c_str());  // fails on a directory with entries
  }
  if (renamed == 0) {
    temporary_.Release();
  } else if (errno == EEXIST && force_) {
    // The old directory now has the temporary name, and goes with it.
    if (renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, final_path_.c_str(), RENAME_EXCHANGE) != 0) {
      return format::ErrnoToStatus(errno, final_path_, "replace");
    }
  } else {
    return format::ErrnoToStatus(errno, final_path_, "create");
  }
  return SyncDirectory(fs::path(final_path_).parent_path().string());
}

bool IsSafeRelativePath(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string::npos) return false;
  for (const fs::path& part : fs::path(path)) {
    if (part == "." || part == ".." || part.empty()) return false;
  }
  return true;
}

}  // namespace seedlm::client
