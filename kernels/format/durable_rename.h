// What it takes to put something under its final name for good.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace seedlm::format {

// The directory that holds `path`: "." if it names none.
std::string DirectoryOf(const std::string& path);

// Renames a file or a directory without overwriting. Returns 0 or an errno, EEXIST or ENOTEMPTY if
// there is something. Where the file system has no such rename (NFS), an empty directory that
// appears at `to` in the same moment is replaced by a directory; nothing else ever is.
int TryRenameNoReplace(const std::string& from, const std::string& to);

// Puts the directory `from` in the place of the directory `to`, which becomes `from`. Returns 0 or
// an errno; then both are as they were. Where the file system cannot exchange two names (NFS), the
// old directory has the name `aside` for a moment.
int TryExchange(const std::string& from, const std::string& to, const std::string& aside);

// fsync of a directory, and of the one that holds `path`: a rename in it is on disk afterwards.
absl::Status SyncDirectory(const std::string& directory);
absl::Status SyncDirectoryOf(const std::string& path);

absl::Status AlreadyExistsStatus(const std::string& path);

}  // namespace seedlm::format
