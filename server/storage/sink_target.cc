#include "server/storage/sink_target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/hidden_name.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"
#include "server/storage/tree.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

bool IsInside(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

absl::Status Invalid(const SinkTarget& target, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(format::Printable(NameOf(target)), ": ", std::string(why)));
}

// It is built under a longer name beside it, and what it replaces has one longer yet for a moment.
absl::Status CheckNameLength(const SinkTarget& target) {
  const auto last = [](const std::string& path) {
    return static_cast<int64_t>(path.size() - path.rfind('/') - 1);
  };
  const std::string parent = ParentOf(target.path);
  const long told = pathconf(parent.c_str(), _PC_NAME_MAX);
  const int64_t room = (told > 0 ? int64_t{told} : int64_t{NAME_MAX}) -
                       last(ReplacedName(StagingPath(target))) + last(target.path);
  if (last(target.path) <= room) return absl::OkStatus();
  return Invalid(target, absl::StrCat("File name too long: ", last(target.path), " bytes; ", room,
                                      " are possible, as it is built beside there under a longer "
                                      "name"));
}

absl::Status CheckName(const SinkTarget& target) {
  const std::string name = NameOf(target);
  if (name.size() < 2 || name.back() == '/') {
    return Invalid(target, "names no file or directory to write");
  }
  return CheckNameLength(target);
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

// Something has the final name: whether anything may take its place.
absl::Status CheckMayGo(const SinkTarget& target, mode_t mode) {
  if (!S_ISDIR(mode) && !S_ISREG(mode)) return Invalid(target, "is no regular file");
  if (target.overwrite) return absl::OkStatus();
  return WithReason(
      absl::AlreadyExistsError(absl::StrCat(format::Printable(target.path),
                                            ": already exists; remove it, choose another output, "
                                            "or ask for it to be overwritten")),
      "OUTPUT_EXISTS");
}

// Whether this output may.
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
  absl::Status status = CheckMayGo(target, mode);
  if (!target.directory || target.result) return status;
  absl::Status replaceable = format::CheckReplaceable(target.path, {replacements});
  if (status.ok() || replaceable.ok() || !absl::IsAlreadyExists(status)) {
    return status.ok() ? replaceable : status;
  }
  // Nothing is advised that would be refused, too.
  return WithReason(
      absl::AlreadyExistsError(absl::StrCat(format::Printable(target.path),
                                            ": already exists, and is more than an earlier output; "
                                            "remove it, or choose another output")),
      "OUTPUT_EXISTS");
}

// `check_existing` is asked with the mode of what has the final name.
template <typename CheckMode>
absl::Status CheckPlace(const SinkTarget& target, const CheckMode& check_existing) {
  struct stat info {};
  if (lstat(target.path.c_str(), &info) == 0) {
    absl::Status status = check_existing(info.st_mode);
    if (!status.ok()) return ForPeople(target, status);
  } else if (errno != ENOENT) {
    return ForPeople(target, format::ErrnoToStatus(errno, target.path, "write"));
  }
  return ForPeople(target, CheckParent(ParentOf(target.path)));
}

// After a death between the two halves of RenameReplacing.
absl::Status RestoreReplaced(const SinkTarget& target, const std::string& replaced) {
  struct stat info {};
  if (lstat(replaced.c_str(), &info) != 0) return absl::OkStatus();
  return lstat(target.path.c_str(), &info) == 0 ? RemoveTree(replaced)
                                                : RenameNoReplace(replaced, target.path);
}

// NOT_FOUND; FAILED_PRECONDITION for what is not a directory of our own.
absl::StatusOr<UniqueFd> OpenStaging(const SinkTarget& target) {
  const std::string staging = StagingPath(target);
  UniqueFd fd(open(staging.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno == ENOENT) return absl::NotFoundError(staging);
  struct stat info {};
  if (fd && fstat(fd.get(), &info) == 0 && info.st_uid == geteuid()) return fd;
  return absl::FailedPreconditionError(
      absl::StrCat(format::Printable(staging),
                   ": is not the directory that this server made, but perhaps a link to another"));
}

}  // namespace

std::string StagingPath(const SinkTarget& target) {
  return format::PartialNameBeside(target.path, target.id);
}

absl::Status CheckTarget(const SinkTarget& target, std::string_view source,
                         const format::OutputPaths& replacements) {
  if (absl::Status status = CheckName(target); !status.ok()) return status;
  const std::string name = NameOf(target);
  if (name == source || IsInside(source, name)) {
    return Invalid(target, "is the source, or holds it; choose another output");
  }
  if (IsInside(name, source)) {
    return Invalid(target, "lies inside of the source; choose another output");
  }
  return CheckPlace(target, [&](mode_t mode) { return CheckExisting(target, mode, replacements); });
}

absl::Status CheckTargetAlone(const SinkTarget& target) {
  if (absl::Status status = CheckName(target); !status.ok()) return status;
  return CheckPlace(target, [&](mode_t mode) { return CheckMayGo(target, mode); });
}

absl::Status PinParent(SinkTarget& target) {
  const std::string parent = ParentOf(target.path);
  auto fd =
      std::make_shared<const UniqueFd>(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!*fd) return format::ErrnoToStatus(errno, parent, "write into");
  const std::string alias = absl::StrCat("/proc/self/fd/", fd->get());
  std::error_code error;
  if (fs::read_symlink(alias, error) != parent || error) {
    return WithReason(absl::PermissionDeniedError(absl::StrCat(
                          format::Printable(parent), ": leads elsewhere by now, through a link")),
                      "OUTSIDE_STORAGE_ROOT");
  }
  target.path = alias + target.path.substr(target.path.rfind('/'));
  target.parent = std::move(fd);
  target.parent_name = parent;
  return absl::OkStatus();
}

std::string NameOf(const SinkTarget& target) {
  if (target.parent == nullptr) return target.path;
  const std::string parent = target.parent_name == "/" ? "" : target.parent_name;
  return absl::StrCat(parent, target.path.substr(target.path.rfind('/')));
}

absl::Status WithMessage(const absl::Status& status,
                         const std::vector<std::pair<std::string, std::string>>& words) {
  absl::Status named(status.code(), absl::StrReplaceAll(status.message(), words));
  status.ForEachPayload(
      [&named](absl::string_view type, const absl::Cord& value) { named.SetPayload(type, value); });
  return named;
}

absl::Status ForPeople(const SinkTarget& target, const absl::Status& status) {
  if (target.parent == nullptr) return status;
  const std::string parent = format::Printable(target.parent_name);
  const std::string alias = ParentOf(target.path);
  return WithMessage(status, {{alias, parent}, {alias + "/", parent == "/" ? "/" : parent + "/"}});
}

absl::Status CheckStagingIsOurs(const SinkTarget& target) {
  const absl::Status status = OpenStaging(target).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : ForPeople(target, status);
}

absl::Status PrepareResume(const SinkTarget& target, const std::vector<std::string>& outputs) {
  absl::Status status = RestoreReplaced(target, ReplacedName(StagingPath(target)));
  if (!status.ok()) return status;
  const absl::StatusOr<UniqueFd> directory = OpenStaging(target);
  if (absl::IsNotFound(directory.status())) return absl::OkStatus();
  if (!directory.ok()) return directory.status();
  // Whatever gets the name meanwhile, this is the directory that was looked at.
  const std::string staging = absl::StrCat("/proc/self/fd/", directory->get());
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
  if (error) return format::ErrnoToStatus(error.value(), StagingPath(target), "list");
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
