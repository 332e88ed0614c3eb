// A file that appears under its name only when it is whole and on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seedlm::format {

enum class IfExists : uint8_t { kFail, kReplace };

// Written under a temporary name in the same directory; Commit fsyncs it, renames it and fsyncs the
// directory. Destroyed without Commit, it leaves nothing behind. WriteAt and ReadAt are
// thread-safe.
class AtomicFile {
 public:
  // `size`: the final size in bytes; the space is reserved, so that a full disk shows now (on file
  // systems that can reserve; elsewhere WriteAt reports it). A symbolic link under `path` is
  // replaced, not followed.
  // Errors: ALREADY_EXISTS (kFail), NOT_FOUND (no such directory), PERMISSION_DENIED,
  // RESOURCE_EXHAUSTED (disk full), INVALID_ARGUMENT (a directory), naming the path.
  static absl::StatusOr<AtomicFile> Create(const std::string& path, uint64_t size,
                                           IfExists if_exists);
  // As Create, for bytes that come in order and may take more than one process: they are kept at
  // `temporary_path`, in the same directory, of which written() bytes are there already. ABORTED if
  // another process has it open.
  static absl::StatusOr<AtomicFile> Resume(const std::string& path,
                                           const std::string& temporary_path, uint64_t size,
                                           IfExists if_exists);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  ~AtomicFile();

  const std::string& path() const { return path_; }
  uint64_t written() const { return written_; }  // found by Resume; 0 after Create
  // Destroyed without Commit, what was written stays for a later Resume.
  void Keep() { keep_ = true; }
  // Forgets all that was written. After Resume only.
  absl::Status Clear();

  // REQUIRES: offset + bytes.size() <= size.
  absl::Status WriteAt(uint64_t offset, std::span<const std::byte> bytes) const;
  // Reads back what was written; bytes that were not are 0. REQUIRES: as WriteAt, not committed.
  absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) const;

  // kFail: a file that appeared meanwhile stays: ALREADY_EXISTS. kReplace: its permissions do.
  absl::Status Commit();

 private:
  AtomicFile() = default;
  void Abandon();
  std::string path_;
  std::string temporary_path_;
  int fd_ = -1;
  uint64_t written_ = 0;
  bool keep_ = false;
  IfExists if_exists_ = IfExists::kFail;
};

// Small whole files (JSON).
absl::Status WriteFileAtomically(const std::string& path, std::string_view content,
                                 IfExists if_exists);
// A file of any size, in pieces. FAILED_PRECONDITION if it changed.
absl::Status CopyFileAtomically(const std::string& from, const std::string& to, IfExists if_exists);
// Errors: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT when larger than `limit` bytes.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, uint64_t limit);
// The same of a file that is open, from where it stands; `path` is for messages.
absl::StatusOr<std::string> ReadSmallFile(int fd, const std::string& path, uint64_t limit);

// errno of a failed system call as a Status: "PATH: cannot ACTION: REASON".
absl::Status ErrnoToStatus(int error, std::string_view path, std::string_view action);

}  // namespace seedlm::format
