// Directories and what is in them: looked for, made, synced, removed, published.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "kernels/format/durable_rename.h"

namespace seedlm::server {

// "/a/b" -> "/a"; "/a" -> "/". REQUIRES: absolute.
std::string ParentOf(const std::string& path);

// Something has this name; a symbolic link counts, wherever it leads. False if it cannot be told.
bool Exists(const std::string& path);

// Of directories, before the umask.
inline constexpr mode_t kOwnDirectory = 0700;   // in the data directory: nobody else's business
inline constexpr mode_t kUserDirectory = 0777;  // at a user's place: as the umask says

// Makes what is missing of `path`, below the existing `root`, with `mode`. REQUIRES: path is root
// or begins with root + "/". INVALID_ARGUMENT if a component is a file.
absl::Status MakeDirectories(const std::string& root, const std::string& path, mode_t mode);

// fsync of a directory with all directories below it.
absl::Status SyncTree(const std::string& path);
// format::SyncDirectory, or what a test puts in its place.
using SyncFunction = std::function<absl::Status(const std::string& directory)>;

// Removes a file or a directory with all that is in it; nothing there is OK. Symbolic links are
// removed, not followed.
absl::Status RemoveTree(const std::string& path);

// Gives `from` (file or directory) the name `to`, in the same file system, atomically.
// ALREADY_EXISTS if `to` exists.
absl::Status RenameNoReplace(const std::string& from, const std::string& to);

// As RenameNoReplace, but replaces a `to` of the same kind. What was there is removed (a file) or
// becomes `from` (a directory). Where the file system cannot exchange two names, the old directory
// has the name ReplacedName(from) for a moment.
absl::Status RenameReplacing(const std::string& from, const std::string& to);
std::string ReplacedName(const std::string& from);

}  // namespace seedlm::server
