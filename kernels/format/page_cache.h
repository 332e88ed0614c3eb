// Files that are written or read once, in order, without filling memory.
#pragma once

#include <cstdint>

namespace seedlm::format {

// Both are hints: nothing is promised, no error reported. Thread-safe. They act where a range
// passes a multiple of 8 MiB, so that pages of what went before take in what comes next: pages that
// were never touched cost a virtual machine several times what copying into them does.

// After a write of [offset, offset + size): lets the kernel begin to write what lies before to
// disk, and forget what is there already; waits for neither. The fsync at the end has less to do.
void WrotePast(int fd, uint64_t offset, uint64_t size);

// After a read of [offset, offset + size): lets the kernel forget what lies before.
void ReadPast(int fd, uint64_t offset, uint64_t size);

}  // namespace seedlm::format
