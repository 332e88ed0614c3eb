#include "server/storage/rename_publisher.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::server {

absl::StatusOr<std::unique_ptr<Publisher>> RenamePublisher::Make(const SinkTarget& target) {
  return std::make_unique<RenamePublisher>(target);
}

std::string RenamePublisher::Staged() const {
  if (target_.directory) return staging_.directory;
  return absl::StrCat(staging_.directory, "/", staging_.outputs[0]);
}

absl::StatusOr<bool> RenamePublisher::WasPublished(const std::string& intent,
                                                   const std::vector<StoredFile>& files,
                                                   std::stop_token stop) {
  struct stat info {};
  if (lstat(target_.path.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    return format::ErrnoToStatus(errno, target_.path, "examine");
  }
  // A number may be given again to what somebody else put there: the sums decide. A result's name
  // is nobody else's, and its number is another one in a copy of the data directory.
  if (!target_.result && intent != absl::StrCat(info.st_ino)) return false;
  for (const StoredFile& file : files) {
    const std::string path =
        S_ISDIR(info.st_mode) ? absl::StrCat(target_.path, "/", file.path) : target_.path;
    const absl::StatusOr<std::string> sum = checksum::Sha256OfFile(path, stop);
    if (absl::IsNotFound(sum.status())) return false;
    if (!sum.ok()) return sum.status();
    if (*sum != file.sha256) return false;
  }
  return true;
}

absl::Status RenamePublisher::Begin(const Staging& staging) {
  staging_ = staging;
  return CheckTarget(target_, staging_.source, staging_.paths);
}

absl::StatusOr<std::string> RenamePublisher::Intent() {
  const std::string staged = Staged();
  struct stat info {};
  if (lstat(staged.c_str(), &info) != 0) return format::ErrnoToStatus(errno, staged, "examine");
  return std::string(absl::StrCat(info.st_ino));
}

absl::Status RenamePublisher::Publish(const std::vector<StoredFile>&, std::stop_token stop) {
  if (stop.stop_requested()) {
    return absl::CancelledError(absl::StrCat(format::Printable(NameOf(target_)),
                                             ": stopped on request before it was published"));
  }
  absl::Status status;
  if (target_.overwrite) {
    // Again, as hours may have passed: what stands there now is what will be replaced.
    status = CheckTarget(target_, staging_.source, staging_.paths);
    if (status.ok()) status = RenameReplacing(Staged(), target_.path);
  } else {
    status = RenameNoReplace(Staged(), target_.path);
  }
  // From here on the output stands: to fail now would tell a lie.
  if (status.ok()) warning_ = ForPeople(target_, sync_(ParentOf(target_.path)));
  return status;
}

}  // namespace seedlm::server
