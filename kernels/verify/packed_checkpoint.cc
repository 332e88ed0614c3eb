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

}  // namespace seedlm::verify
