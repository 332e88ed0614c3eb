// A compressed tensor in a safetensors file: its planes, and the file's `seedlm` metadata.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/codec/profile.h"
#include "kernels/format/safetensors.h"

namespace seedlm::format {

inline constexpr int kFormatVersion = 1;
inline constexpr std::string_view kMetadataKey = "seedlm";

// Names of the planes of tensor N: N_packed I32 [R, B], N_level U8 [R, ceil(B/2)] (P = 4 only),
// N_scale F32 [16], N_shape I64 [2].
struct PlaneNames {
  explicit PlaneNames(std::string_view tensor);
  std::string packed, level, scale, shape;
};

// The planes that a [rows, columns] tensor becomes.
std::vector<TensorSpec> PlaneSpecs(std::string_view tensor, const codec::Profile& profile,
                                   int64_t rows, int64_t columns);

// Bit indices of the profile's LFSR taps, ascending, as they stand in metadata and config.json.
std::vector<int> TapIndices(const codec::Profile& profile);

// The JSON object under the metadata key `seedlm`.
struct PackedMetadata {
  codec::Profile profile = codec::k4bit;
  codec::Fit fit = codec::Fit::kOptimal;
  codec::ScaleRule scale = codec::ScaleRule::kFitted;
  std::map<std::string, DType> dtypes;  // source dtype of each compressed tensor

  std::string ToJson() const;
  // Errors: INVALID_ARGUMENT for JSON that is not such an object, an unknown format_version,
  // profile, fit or scale, a block, rank, width or taps that disagree with the profile.
  static absl::StatusOr<PackedMetadata> FromJson(std::string_view json);
};

// One compressed tensor of an open file. packed_codes.h reads its codes.
struct PackedTensor {
  std::string name;
  DType dtype = DType::kF32;  // of the source
  codec::Profile profile = codec::k4bit;
  int64_t rows = 0;
  int64_t columns = 0;
  std::array<float, codec::kLevels> scale{};
  const SafetensorsFile* file = nullptr;  // owned by the PackedFile; so are the planes
  const TensorInfo* words = nullptr;      // [rows, blocks_per_row] little-endian 32-bit words
  const TensorInfo* levels = nullptr;     // [rows, LevelRowBytes]; null where P = 3

  int64_t blocks_per_row() const { return profile.blocks_per_row(columns); }
  // Of the planes that hold the codes.
  uint64_t code_bytes() const {
    return words->byte_size() + (levels == nullptr ? 0 : levels->byte_size());
  }
};

// Everything that a file holds: compressed tensors by name, and the others.
struct PackedFile {
  std::shared_ptr<const SafetensorsFile> file;
  std::optional<PackedMetadata> metadata;  // none: an ordinary safetensors file
  std::vector<PackedTensor> packed;
  std::vector<const TensorInfo*> others;
};

// Checks metadata and planes: every tensor of `dtypes` has all its planes with the right dtypes and
// shapes that agree, scales finite and positive, no plane left over (N_level where the profile has
// none; N_packed, N_scale and N_shape of a tensor that `dtypes` does not name). Seeds are checked
// by CodePiece::CheckRow. Errors: INVALID_ARGUMENT naming file, tensor and reason; those of
// SafetensorsFile::Read.
absl::StatusOr<PackedFile> ReadPackedFile(std::shared_ptr<const SafetensorsFile> file);
// The same of a file that is opened first; errors of SafetensorsFile::Open too.
absl::StatusOr<PackedFile> OpenPackedFile(const std::string& path);

}  // namespace seedlm::format
