// Any bytes as a safetensors file: refused with INVALID_ARGUMENT, or readable to the end.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/format/packed_tensor.h"

namespace seedlm::format {
namespace {

// A file in memory; its path under /proc is opened like any other.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    if (fd_ < 0 || write(fd_, data, size) != static_cast<ssize_t>(size)) std::abort();
  }
  ~MemoryFile() { close(fd_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// Touches every byte that a reader of the file would, for the sanitizers to watch.
void ReadToTheEnd(const PackedFile& file, const std::string& path) {
  constexpr int64_t kLongestRow = 1 << 20;
  for (const PackedTensor& tensor : file.packed) {
    CountLevels(tensor);
    if (tensor.columns > kLongestRow) continue;
    std::vector<float> row(static_cast<size_t>(tensor.columns));
    for (int64_t r = 0; r < tensor.rows; ++r) {
      if (CheckRow(tensor, r, path).ok()) DecodeRow(tensor, r, row);
    }
  }
  unsigned sum = 0;
  for (const TensorInfo* tensor : file.others) {
    for (const std::byte byte : file.file->Data(*tensor)) sum += static_cast<unsigned>(byte);
  }
  volatile unsigned kept = sum;
  (void)kept;
}

}  // namespace
}  // namespace seedlm::format

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const seedlm::format::MemoryFile input(data, size);
  const auto file = seedlm::format::OpenPackedFile(input.path());
  if (file.ok()) {
    seedlm::format::ReadToTheEnd(*file, input.path());
  } else if (file.status().code() != absl::StatusCode::kInvalidArgument) {
    std::abort();
  }
  return 0;
}
