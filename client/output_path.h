// The rules for OUT, checked before any work and again at the end.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seedlm::client {

// `path` made absolute, symbolic links in its parents resolved, the last part kept as it is (the
// Hugging Face cache is links to files without an ending).
// Errors: NOT_FOUND if a parent does not exist, INVALID_ARGUMENT for an empty path.
absl::StatusOr<std::string> AbsolutePath(const std::string& path);

// OUT as it was given, made absolute. When the result is one file, "OUT/" puts it into the
// directory OUT, which must exist, under `name`. Errors: those of AbsolutePath; NOT_FOUND if there
// is no such directory; INVALID_ARGUMENT for a name that leaves it.
absl::StatusOr<std::string> OutputPath(const std::string& given, bool is_directory,
                                       const std::string& name);

// Whether `out` may be written. Errors: ALREADY_EXISTS unless `force`; NOT_FOUND, PERMISSION_DENIED
// for its directory; INVALID_ARGUMENT if `out` is `in`, lies in it or holds it, or with `force` if
// a file would replace a directory or the other way round; FAILED_PRECONDITION if a directory that
// is to be replaced holds something else than a checkpoint.
absl::Status CheckOutput(const std::string& in, const std::string& out, bool out_is_directory,
                         bool force);

// Whether a server's or an index's path stays below the directory it is joined to.
bool IsSafeRelativePath(const std::string& path);

}  // namespace seedlm::client
