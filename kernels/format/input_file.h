// A file that is read in pieces, larger than memory if need be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seedlm::format {

// Read with pread(2) and not mapped: where somebody truncates the file meanwhile, or its disk
// fails, that is a status, and in a mapping it would be a SIGBUS. Thread-safe after construction;
// movable.
class InputFile {
 public:
  // Errors: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (not a regular file), all naming the
  // path.
  static absl::StatusOr<InputFile> Open(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // bytes, when it was opened

  // Copies bytes [offset, offset + bytes.size()) of the file. `what` is read there, for the
  // message: "tensor 'N'"; empty: the file. Errors: FAILED_PRECONDITION if the file is no longer
  // the one that was opened, also if it changed while it was read; those of the disk.
  // REQUIRES: inside size().
  absl::Status ReadAt(uint64_t offset, std::span<std::byte> bytes,
                      std::string_view what = {}) const;

  // FAILED_PRECONDITION if size or modification time of the file changed since it was opened.
  absl::Status CheckUnchanged(std::string_view what = {}) const;

 private:
  InputFile() = default;
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  int64_t modified_ns_ = 0;
};

}  // namespace seedlm::format
