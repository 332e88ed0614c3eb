#include "server/storage/sink_target.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

// A directory with more entries than this and no checkpoint among them is not one of ours.
constexpr int kMaxEntriesLookedAt = 100'000;

bool IsInside(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

bool HoldsCheckpointOrNothing(const std::string& directory) {
  std::error_code error;
  int seen = 0;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".safetensors") return true;
    if (++seen > kMaxEntriesLookedAt) return false;
  }
  return !error && seen == 0;
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
absl::Status CheckExisting(const SinkTarget& target, mode_t mode) {
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
  if (target.directory && !target.result && !HoldsCheckpointOrNothing(target.path)) {
    return absl::FailedPreconditionError(absl::StrCat(
        format::Printable(target.path),
        ": is a directory without any safetensors file in it; it is not overwritten: remove it if "
        "that is what you mean"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string StagingPath(const SinkTarget& target) {
  const std::string parent = ParentOf(target.path);
  const std::string name = target.path.substr(target.path.rfind('/') + 1);
  return absl::StrCat(parent == "/" ? "" : parent, "/.", name, ".", target.id, ".seedlm-partial");
}

absl::Status CheckTarget(const SinkTarget& target, std::string_view source) {
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
    if (absl::Status status = CheckExisting(target, info.st_mode); !status.ok()) return status;
  } else if (errno != ENOENT) {
    return format::ErrnoToStatus(errno, target.path, "write");
  }
  return CheckParent(ParentOf(target.path));
}

absl::Status RemoveLeftovers(const SinkTarget& target) {
  const std::string staging = StagingPath(target);
  const std::string replaced = ReplacedName(staging);
  struct stat info {};
  if (lstat(replaced.c_str(), &info) == 0) {  // killed between the two halves of RenameReplacing
    absl::Status status = lstat(target.path.c_str(), &info) == 0
                              ? RemoveTree(replaced)
                              : RenameNoReplace(replaced, target.path);
    if (!status.ok()) return status;
  }
  return RemoveTree(staging);
}

}  // namespace seedlm::server
