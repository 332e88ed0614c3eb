// A file mapped read-only, larger than memory if need be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seedlm::format {

// Thread-safe after construction; movable.
class MappedFile {
 public:
  // Errors: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (not a regular file, empty), all naming
  // the path.
  static absl::StatusOr<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Tells the kernel that this range will not be needed soon, so that resident memory does not grow
  // with the file. The bytes stay readable: those within 2 MiB around the range may have to be
  // mapped again.
  void Release(uint64_t offset, uint64_t length) const;

  // Copies bytes [offset, offset + bytes.size()) of the file, without touching the mapping: where
  // somebody truncates the file meanwhile this is FAILED_PRECONDITION, and not a SIGBUS.
  // REQUIRES: inside bytes().
  absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) const;

  // FAILED_PRECONDITION if the file on disk is no longer the one that was mapped (size or
  // modification time changed): reading past a truncation would be a SIGBUS.
  absl::Status CheckUnchanged() const;

 private:
  MappedFile() = default;
  std::string path_;
  int fd_ = -1;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ns_ = 0;
};

}  // namespace seedlm::format
