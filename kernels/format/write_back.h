// Files that are written in order and synced at the end.
#pragma once

#include <cstdint>

namespace seedlm::format {

// After a write of [offset, offset + size): where that passed a multiple of 8 MiB, lets the kernel
// begin to write what lies before to disk, and does not wait for it. The fsync at the end has less
// to do, and memory does not fill with what is on no disk. A hint: nothing is promised, no error
// reported. Thread-safe.
void StartWriteBack(int fd, uint64_t offset, uint64_t size);

}  // namespace seedlm::format
