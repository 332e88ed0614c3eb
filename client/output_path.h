// The rules for OUT, checked before any work and again at the end.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/old_output.h"

namespace seedlm::client {

// `path` made absolute, symbolic links in its parents resolved, the last part kept as it is (the
// Hugging Face cache is links to files without an ending).
// Errors: NOT_FOUND if a parent does not exist, INVALID_ARGUMENT for an empty path.
absl::StatusOr<std::string> AbsolutePath(const std::string& path);

// OUT made absolute. When the result is one file, "OUT/" puts it into the directory OUT, which must
// exist, under `name`. A symbolic link is followed, here and once: what it leads to is the output.
// One that leads nowhere stays as it is, and CheckOutput refuses it. Errors: those of AbsolutePath;
// NOT_FOUND if there is no such directory; INVALID_ARGUMENT for a name that leaves it, a circle of
// links, "-".
absl::StatusOr<std::string> OutputPath(const std::string& given, bool is_directory,
                                       const std::string& name);

// Whether `out`, of OutputPath, may be written. `output`: what a directory will hold; needed with
// `force` alone. Errors: ALREADY_EXISTS unless `force`; NOT_FOUND, PERMISSION_DENIED for its
// directory; INVALID_ARGUMENT if `out` is `in`, lies in it or holds it, or with `force` if a file
// would replace a directory or the other way round, or a link that leads nowhere;
// FAILED_PRECONDITION if more than an earlier output would go with a directory, as
// format::CheckReplaceable says.
absl::Status CheckOutput(const std::string& in, const std::string& out, bool out_is_directory,
                         bool force, const format::NewOutput& output);

// Whether `path` is `place`, or lies in it. Both are resolved, as OutputPath does.
bool IsWithin(const std::string& path, const std::string& place);

// Whether a server's or an index's path stays below the directory it is joined to.
bool IsSafeRelativePath(const std::string& path);

}  // namespace seedlm::client
