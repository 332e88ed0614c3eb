// What it takes to put something under its final name for good. Private to this room.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace seedlm::format {

// The directory that holds `path`: "." if it names none.
std::string DirectoryOf(const std::string& path);

// A hidden name in the same directory, random: to be created with O_EXCL.
std::string TemporaryNameBeside(const std::string& path);

// Renames a file without overwriting. Returns 0 or an errno, EEXIST if there is something.
int RenameNoReplace(const std::string& from, const std::string& to);

// fsync of the directory that holds `path`: a rename in it is on disk afterwards.
absl::Status SyncDirectoryOf(const std::string& path);

absl::Status AlreadyExistsStatus(const std::string& path);

}  // namespace seedlm::format
