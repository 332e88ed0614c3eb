#include "kernels/format/page_cache.h"

#include <fcntl.h>

#include <algorithm>

namespace seedlm::format {
namespace {

constexpr uint64_t kStep = uint64_t{8} << 20;
// A disk has the time of so many steps to write one: the kernel forgets only what is on disk, and
// searches long for pages that are not.
constexpr uint64_t kDelay = 4 * kStep;
// What the disk was late with is asked for again, so far back.
constexpr uint64_t kReach = 16 * kStep;

// [begin, end) in whole steps.
struct Steps {
  uint64_t begin;
  uint64_t end;
  bool empty() const { return begin >= end; }
};

// Those that a range completes.
Steps CompletedBy(uint64_t offset, uint64_t size) {
  return {offset / kStep * kStep, (offset + size) / kStep * kStep};
}

uint64_t Back(uint64_t from, uint64_t by) { return from - std::min(from, by); }

#ifdef __linux__
void Forget(int fd, Steps steps) {
  if (steps.empty()) return;
  (void)posix_fadvise(fd, static_cast<off_t>(steps.begin),
                      static_cast<off_t>(steps.end - steps.begin), POSIX_FADV_DONTNEED);
}
#else
void Forget(int, Steps) {}
#endif

}  // namespace

void WrotePast(int fd, uint64_t offset, uint64_t size) {
  const Steps now = CompletedBy(offset, size);
  if (now.empty()) return;
#ifdef __linux__
  (void)sync_file_range(fd, static_cast<off_t>(now.begin), static_cast<off_t>(now.end - now.begin),
                        SYNC_FILE_RANGE_WRITE);
#endif
  Forget(fd, {Back(now.begin, kReach), Back(now.end, kDelay)});
}

void ReadPast(int fd, uint64_t offset, uint64_t size) { Forget(fd, CompletedBy(offset, size)); }

}  // namespace seedlm::format
