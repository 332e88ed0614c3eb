#include "kernels/verify/packed_checkpoint.h"

#include <algorithm>

namespace seedlm::verify {

bool PackedCheckpoint::compressed() const {
  return std::any_of(files.begin(), files.end(),
                     [](const auto& file) { return !file.content.packed.empty(); });
}

absl::StatusOr<PackedCheckpoint> OpenPackedCheckpoint(const std::string& path) {
  auto checkpoint = format::Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.status();
  PackedCheckpoint packed;
  packed.path = path;
  packed.is_directory = checkpoint->is_directory;
  packed.other_files = std::move(checkpoint->other_files);
  for (const auto& file : checkpoint->files) {
    auto content = format::ReadPackedFile(file.file);
    if (!content.ok()) return content.status();
    packed.files.push_back({file.relative_path, *std::move(content)});
  }
  return packed;
}

void ReleaseRows(const format::PackedFile& file, const format::PackedTensor& tensor, int64_t first,
                 int64_t count) {
  const format::PlaneNames names(tensor.name);
  const auto release = [&](const std::string& plane, uint64_t plane_bytes) {
    const format::TensorInfo* info = plane_bytes == 0 ? nullptr : file.file->Find(plane);
    if (info == nullptr) return;
    const uint64_t row_bytes = plane_bytes / static_cast<uint64_t>(tensor.rows);
    file.file->Release(*info, static_cast<uint64_t>(first) * row_bytes,
                       static_cast<uint64_t>(count) * row_bytes);
  };
  release(names.packed, tensor.words.size());
  release(names.level, tensor.levels.size());
}

}  // namespace seedlm::verify
