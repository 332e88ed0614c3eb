// Any bytes as a safetensors file: refused with INVALID_ARGUMENT, or readable to the end.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/kernels/read_tensor.h"

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
void ReadToTheEnd(const PackedFile& file) {
  std::vector<float> weights;
  const auto decode = [&weights](const CodePiece& piece) {
    weights.resize(static_cast<size_t>(piece.columns()));
    for (int64_t row = piece.range().first_row; row < piece.range().end_row(); ++row) {
      (void)piece.HasStrayLevel(row);
      if (piece.CheckRow(row).ok()) piece.DecodeRow(row, weights);
    }
    return absl::OkStatus();
  };
  for (const PackedTensor& tensor : file.packed) {
    if (!ReadCodes(tensor, 0, tensor.rows, decode).ok()) std::abort();
  }
  unsigned sum = 0;
  for (const TensorInfo* tensor : file.others) {
    for (const std::byte byte : BytesOf(*file.file, *tensor)) sum += static_cast<unsigned>(byte);
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
    seedlm::format::ReadToTheEnd(*file);
  } else if (file.status().code() != absl::StatusCode::kInvalidArgument) {
    std::abort();
  }
  return 0;
}
