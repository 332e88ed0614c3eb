#include "kernels/format/write_back.h"

#include <fcntl.h>

namespace seedlm::format {

void StartWriteBack(int fd, uint64_t offset, uint64_t size) {
#ifdef __linux__
  constexpr uint64_t kStep = uint64_t{8} << 20;
  const uint64_t end = (offset + size) / kStep * kStep;
  if (end <= offset) return;
  const uint64_t begin = offset / kStep * kStep;  // what was not passed before
  (void)sync_file_range(fd, static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                        SYNC_FILE_RANGE_WRITE);
#else
  (void)fd, (void)offset, (void)size;
#endif
}

}  // namespace seedlm::format
