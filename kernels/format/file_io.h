// Whole reads and writes at an offset, and space that is there before it is needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace seedlm::format {

// The payload of a Status under which its reason is, one of proto/README.md's.
inline constexpr char kReasonPayload[] = "seedlm/reason";
// The reason of an INTERNAL status of a file operation that failed (EIO, ESTALE): the disk, and no
// defect of the program. ErrnoToStatus gives it.
inline constexpr char kIoFailed[] = "IO_FAILED";
absl::Status IoFailed(std::string_view message);

// All of `bytes`, or an error naming `path`. Thread-safe for ranges that do not overlap.
absl::Status WriteAllAt(int fd, const std::string& path, uint64_t offset,
                        std::span<const std::byte> bytes);
// IoFailed where the file ends before the last byte.
absl::Status ReadAllAt(int fd, const std::string& path, uint64_t offset,
                       std::span<std::byte> bytes);

// RESOURCE_EXHAUSTED naming `path` if the disk of `fd` has less than `bytes` left for this user; OK
// where the file system does not say.
absl::Status CheckRoom(int fd, const std::string& path, uint64_t bytes);

// Makes the file at least `size` bytes long and reserves their space, where the file system can;
// elsewhere only the length is set. What the file holds stays. RESOURCE_EXHAUSTED, before what is
// left of the disk is filled, when it does not fit.
absl::Status ReserveSpace(int fd, const std::string& path, uint64_t size);
// The same without making the file longer.
absl::Status ReserveBeyondEnd(int fd, const std::string& path, uint64_t size);

// Keeps other processes off a file or directory until `fd` is closed. ABORTED if one has it.
absl::Status LockForOne(int fd, const std::string& path);

// Whether `path` still names what `fd` has open: another process may have renamed or removed it
// before LockForOne.
bool HasName(int fd, const std::string& path);

}  // namespace seedlm::format
