#include "client/output_path.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {
namespace {

namespace fs = std::filesystem;

absl::Status CheckParent(const std::string& out) {
  const std::string parent = fs::path(out).parent_path().string();
  std::error_code error;
  const bool is_directory = fs::is_directory(parent, error);
  if (error && error != std::errc::no_such_file_or_directory) {
    return format::ErrnoToStatus(error.value(), parent, "write in this directory");
  }
  if (!is_directory) {
    return absl::NotFoundError(absl::StrCat(parent, ": no such directory; create it first"));
  }
  if (access(parent.c_str(), W_OK | X_OK) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        parent, ": cannot write in this directory; choose another place for the output"));
  }
  return absl::OkStatus();
}

absl::Status CheckOverlap(const std::string& in, const std::string& out) {
  std::error_code error;
  if (fs::equivalent(in, out, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(out, ": is the input itself; choose another output"));
  }
  const std::string real_in = fs::canonical(in, error).string();
  if (error) return format::ErrnoToStatus(error.value(), in, "find");
  const std::string real_out = fs::weakly_canonical(out, error).string();
  if (error) return format::ErrnoToStatus(error.value(), out, "find");
  if (IsWithin(real_in, real_out) || IsWithin(real_out, real_in)) {
    return absl::InvalidArgumentError(
        absl::StrCat(out, ": input and output lie in each other; choose another output"));
  }
  return absl::OkStatus();
}

// Something has the name: whether --force lets it be replaced.
absl::Status CheckReplacing(const std::string& out, bool is_directory, bool directory_there,
                            const format::NewOutput& output) {
  std::error_code error;
  if (fs::is_symlink(out, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat(out, ": is a symbolic link that leads nowhere; remove it first"));
  }
  if (!is_directory) return absl::OkStatus();
  if (!directory_there) {
    return absl::InvalidArgumentError(
        absl::StrCat(out, ": is a file, but the output is a directory; choose another output"));
  }
  return format::CheckReplaceable(out, output);
}

// What a symbolic link leads to, if there is that; other paths as they are.
absl::StatusOr<std::string> Followed(const std::string& path) {
  std::error_code error;
  if (!fs::is_symlink(path, error)) return path;
  const fs::path real = fs::canonical(path, error);
  if (error == std::errc::no_such_file_or_directory) return path;
  if (error) return format::ErrnoToStatus(error.value(), path, "follow the link");
  return real.string();
}

}  // namespace

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError("a path is empty; give a file or directory");
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const fs::path given(trimmed);
  const std::string last = given.filename().string();
  const bool whole = last.empty() || last == "." || last == "..";
  const fs::path resolvable = whole ? given : given.parent_path();
  std::error_code error;
  const fs::path base = fs::canonical(resolvable.empty() ? fs::path(".") : resolvable, error);
  if (error == std::errc::no_such_file_or_directory) {
    return absl::NotFoundError(
        absl::StrCat(resolvable.string(), ": no such directory; create it first"));
  }
  if (error) return format::ErrnoToStatus(error.value(), resolvable.string(), "find");
  return whole ? base.string() : (base / last).string();
}

absl::StatusOr<std::string> OutputPath(const std::string& given, bool is_directory,
                                       const std::string& name) {
  if (given == "-") {
    return absl::InvalidArgumentError(
        "-: nothing is written to stdout; name a file, ./- if it is called so");
  }
  auto path = AbsolutePath(given);
  if (!path.ok()) return path;
  if (is_directory || given.back() != '/') return Followed(*path);
  std::error_code error;
  if (!fs::is_directory(*path, error)) {
    if (error && error != std::errc::no_such_file_or_directory) {
      return format::ErrnoToStatus(error.value(), given, "find");
    }
    return absl::NotFoundError(absl::StrCat(
        given, ": no such directory; create it first, or leave out the slash to write a file"));
  }
  if (!IsSafeRelativePath(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", name, "': is no name for a file; name one, not a directory"));
  }
  return Followed((fs::path(*path) / name).string());
}

absl::Status CheckOutput(const std::string& in, const std::string& out, bool out_is_directory,
                         bool force, const format::NewOutput& output) {
  std::error_code error;
  const auto existing = fs::symlink_status(out, error).type();
  if (existing == fs::file_type::none) {
    return format::ErrnoToStatus(error.value(), out, "write");
  }
  if (existing != fs::file_type::not_found) {
    const bool directory_there = fs::is_directory(out, error);
    if (!out_is_directory && directory_there) {
      const std::string message = absl::StrCat(
          out, ": is a directory, but the output is a file; give ", out, "/ to put it in there");
      return force ? absl::InvalidArgumentError(message) : absl::AlreadyExistsError(message);
    }
  }
  if (out_is_directory && existing == fs::file_type::not_found &&
      absl::EndsWith(out, ".safetensors")) {
    return absl::InvalidArgumentError(
        absl::StrCat(out, ": the output is a directory, as the input is; leave out .safetensors"));
  }
  if (!in.empty()) {  // before the rule for what goes: nothing of the input is told as foreign
    if (absl::Status status = CheckOverlap(in, out); !status.ok()) return status;
  }
  if (existing != fs::file_type::not_found) {
    const absl::Status status =
        CheckReplacing(out, out_is_directory, fs::is_directory(out, error), output);
    if (force && !status.ok()) return status;
    // --force is advised only where it would help.
    if (!force) {
      return absl::AlreadyExistsError(
          status.ok() ? absl::StrCat(out, ": exists already; use --force to replace it")
                      : std::string(status.message()));
    }
  }
  return CheckParent(out);
}

bool IsWithin(const std::string& path, const std::string& place) {
  return path == place || absl::StartsWith(path, place == "/" ? place : place + "/");
}

bool IsSafeRelativePath(const std::string& path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string::npos) return false;
  for (const fs::path& part : fs::path(path)) {
    if (part == "." || part == ".." || part.empty()) return false;
  }
  return true;
}

}  // namespace seedlm::client
