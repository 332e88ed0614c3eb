// Which paths of the server's file system a client may name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seedlm::server {

// Immutable, thread-safe.
class StorageRoots {
 public:
  // `roots`: existing directories; none: every path is refused. An embedded server, which acts for
  // the user who started it, gives "/". `reserved`: the server's own data directory ("": none),
  // which no path may be, hold or lie in, not even below a root: a job must neither read another
  // client's uploads there nor replace them. Errors: NOT_FOUND, INVALID_ARGUMENT (not a directory,
  // or in `reserved`).
  static absl::StatusOr<StorageRoots> Create(const std::vector<std::string>& roots,
                                             const std::string& reserved = "");

  // The absolute path without symbolic links that `path` means, if it is below a root. What does
  // not exist yet is appended to the real path of its deepest existing parent. Errors:
  // INVALID_ARGUMENT (relative, ".." in it, a NUL), PERMISSION_DENIED (outside of all roots, also
  // through a symbolic link, or a dangling one), naming the path as given.
  absl::StatusOr<std::string> Resolve(std::string_view path) const;

  // Whether the file that is open as `fd`, by the name `path`, is one that Resolve would have
  // given: a link may have been swung round since. PERMISSION_DENIED, naming `path`.
  absl::Status CheckOpened(int fd, const std::string& path) const;

  // Resolve for "file:///PATH", percent-encoding undone. INVALID_ARGUMENT for another scheme, a
  // host, a broken escape. UNIMPLEMENTED for s3://: those
  // that are written do not come here.
  absl::StatusOr<std::string> ResolveUri(std::string_view uri) const;

  // ResolveUri for what is to be written or replaced: strictly below a root, and around none.
  absl::StatusOr<std::string> ResolveOutputUri(std::string_view uri) const;

  const std::vector<std::string>& roots() const { return roots_; }

 private:
  absl::Status CheckConfined(const std::string& resolved, std::string_view path) const;

  std::vector<std::string> roots_;
  std::string reserved_;  // empty: none
};

}  // namespace seedlm::server
