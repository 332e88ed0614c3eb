#include "server/storage/sink_target.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "kernels/format/hidden_name.h"
#include "server/errors/reason.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

bool IsInside(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

absl::Status Invalid(const SinkTarget& target, const char* why) {
  return absl::InvalidArgumentError(absl::StrCat(format::Printable(target.path), ": ", why));
}

absl::Status CheckParent(const std::string& parent) {
  struct stat info {};
  if (stat(parent.c_str(), &info) != 0) return format::ErrnoToStatus(errno, parent, "write into");
  if (!S_ISDIR(info.st_mode)) return format::ErrnoToStatus(ENOTDIR, parent, "write into");
  if (access(parent.c_str(), W_OK | X_OK) != 0) {
    return format::ErrnoToStatus(errno, parent, "write into");
  }
  return absl::OkStatus();
}

// Something has the final name.
absl::Status CheckExisting(const SinkTarget& target, mode_t mode,
                           const format::OutputPaths& replacements) {
  if (S_ISDIR(mode) && !target.directory) {
    return Invalid(target,
                   "is a directory, but the source is one file, so the output is one too: name the "
                   "file to write");
  }
  if (!S_ISDIR(mode) && target.directory) {
    return Invalid(target,
                   "is not a directory, but the source is one, so the output is one too: name "
                   "another");
  }
  if (!S_ISDIR(mode) && !S_ISREG(mode)) return Invalid(target, "is no regular file");
  if (!target.overwrite) {
    return WithReason(
        absl::AlreadyExistsError(absl::StrCat(format::Printable(target.path),
                                              ": already exists; remove it, choose another output, "
                                              "or ask for it to be overwritten")),
        "OUTPUT_EXISTS");
  }
  if (!target.directory || target.result) return absl::OkStatus();
  return format::CheckReplaceable(target.path, {replacements});
}

// After a death between the two halves of RenameReplacing.
absl::Status RestoreReplaced(const SinkTarget& target, const std::string& replaced) {
  struct stat info {};
  if (lstat(replaced.c_str(), &info) != 0) return absl::OkStatus();
  return lstat(target.path.c_str(), &info) == 0 ? RemoveTree(replaced)
                                                : RenameNoReplace(replaced, target.path);
}

}  // namespace

std::string StagingPath(const SinkTarget& target) {
  return format::PartialNameBeside(target.path, target.id);
}

absl::Status CheckTarget(const SinkTarget& target, std::string_view source,
                         const format::OutputPaths& replacements) {
  if (target.path.size() < 2 || target.path.back() == '/') {
    return Invalid(target, "names no file or directory to write");
  }
  if (target.path == source || IsInside(source, target.path)) {
    return Invalid(target, "is the source, or holds it; choose another output");
  }
  if (IsInside(target.path, source)) {
    return Invalid(target, "lies inside of the source; choose another output");
  }
  struct stat info {};
  if (lstat(target.path.c_str(), &info) == 0) {
    absl::Status status = CheckExisting(target, info.st_mode, replacements);
    if (!status.ok()) return status;
  } else if (errno != ENOENT) {
    return format::ErrnoToStatus(errno, target.path, "write");
  }
  return CheckParent(ParentOf(target.path));
}

absl::Status PrepareResume(const SinkTarget& target, const std::vector<std::string>& outputs) {
  const std::string staging = StagingPath(target);
  absl::Status status = RestoreReplaced(target, ReplacedName(staging));
  if (!status.ok()) return status;
  const std::set<std::string> kept(outputs.begin(), outputs.end());
  std::vector<std::string> removed;
  std::error_code error;
  for (fs::recursive_directory_iterator it(staging, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    const bool regular = fs::is_regular_file(it->symlink_status(ignored));
    if (!regular && fs::is_directory(it->symlink_status(ignored))) continue;
    if (regular && kept.contains(it->path().lexically_relative(staging).string())) continue;
    removed.push_back(it->path().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return format::ErrnoToStatus(error.value(), staging, "list");
  }
  for (const std::string& path : removed) {
    if (status.ok()) status = RemoveTree(path);
  }
  return status;
}

absl::Status RemoveLeftovers(const SinkTarget& target) {
  const std::string staging = StagingPath(target);
  const absl::Status status = RestoreReplaced(target, ReplacedName(staging));
  return status.ok() ? RemoveTree(staging) : status;
}

}  // namespace seedlm::server
