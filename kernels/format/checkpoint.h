// Checkpoints: one .safetensors file, or a directory in Hugging Face layout.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/format/safetensors.h"

namespace seedlm::format {

struct CheckpointFile {
  std::string relative_path;  // "model-00001-of-00002.safetensors"
  std::shared_ptr<const SafetensorsFile> file;
};

// An open checkpoint. A name is unique over all its files.
struct Checkpoint {
  std::string path;
  bool is_directory = false;
  std::vector<CheckpointFile> files;     // by relative path, ascending
  std::vector<std::string> other_files;  // relative paths, ascending; config.json and the index too
  // Those of other_files that say which file holds which tensor: *.safetensors.index.json, and that
  // of a variant, *.safetensors.index.fp16.json, if all that it says is so; else it was left over
  // by a download of another variant, and is a file like any other.
  std::vector<std::string> indexes;

  // Opens `path`. In a directory every *.safetensors below it is read; symbolic links are followed
  // (the Hugging Face cache is made of them), hidden directories (.git, .cache) left
  // out; a hidden file counts among the other files.
  // Errors: NOT_FOUND (also a dangling link); INVALID_ARGUMENT: a directory without safetensors, a
  // Hugging Face cache with its blobs (models--ORG--NAME), where one of its snapshots is meant,
  // one nested over 8 levels or with over 100,000 entries, headers over 100 MB or with over
  // kMaxTensors in all its files together, a tensor in two files, an index
  // *.safetensors.index.json that names a missing file or tensor; those of SafetensorsFile::Open.
  // They are about the file, relative to `path`, and the tensor, where one is at fault (fault.h).
  static absl::StatusOr<Checkpoint> Open(const std::string& path);

  bool IsIndex(const std::string& relative_path) const;  // one of `indexes`
};

}  // namespace seedlm::format
