// A compressed checkpoint, a file or a directory, open for reading.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/packed_tensor.h"

namespace seedlm::verify {

struct PackedCheckpointFile {
  std::string relative_path;
  format::PackedFile content;
};

struct PackedCheckpoint {
  std::string path;
  bool is_directory = false;
  std::vector<PackedCheckpointFile> files;  // by relative path
  std::vector<std::string> other_files;

  bool compressed() const;  // whether any file holds compressed tensors
};

// Errors: those of format::Checkpoint::Open and format::ReadPackedFile.
absl::StatusOr<PackedCheckpoint> OpenPackedCheckpoint(const std::string& path);

}  // namespace seedlm::verify
