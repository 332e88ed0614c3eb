// A file of known size that is filled in any order, and outlives the process that fills it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

// Thread-safe, but for destruction; movable. What was written before a Sync that succeeded is there
// after a power cut, once the file's name is on disk (format::SyncDirectory). Nothing else may be
// relied on: who opens the file again checks what it reads.
class StagedFile {
 public:
  // Opens `path`, or creates it, with exactly `size` bytes, space reserved. Bytes that are there
  // stay; those that are missing read as 0.
  // Errors: NOT_FOUND (no directory), PERMISSION_DENIED, RESOURCE_EXHAUSTED (disk full), naming it.
  static absl::StatusOr<StagedFile> Open(const std::string& path, uint64_t size);

  const std::string& path() const { return path_; }

  // REQUIRES: inside the file.
  absl::Status WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes) const;

  // fdatasync, if something was written since the last one. An error stays: what was written before
  // it may be lost, whatever the kernel says the next time. One thread at a time.
  absl::Status Sync();

 private:
  StagedFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  UniqueFd fd_;
  std::unique_ptr<std::atomic<bool>> unsynced_ = std::make_unique<std::atomic<bool>>(false);
  int sync_error_ = 0;  // errno
};

}  // namespace seedlm::server
