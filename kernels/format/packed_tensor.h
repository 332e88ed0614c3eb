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
#include "kernels/codec/block_code.h"
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

// One compressed tensor of an open file. The spans point into the file's mapping.
struct PackedTensor {
  std::string name;
  DType dtype = DType::kF32;  // of the source
  codec::Profile profile = codec::k4bit;
  int64_t rows = 0;
  int64_t columns = 0;
  std::array<float, codec::kLevels> scale{};
  std::span<const std::byte> words;   // [rows, blocks_per_row] little-endian 32-bit words
  std::span<const std::byte> levels;  // [rows, LevelRowBytes], empty where P = 3

  int64_t blocks_per_row() const { return profile.blocks_per_row(columns); }
  codec::BlockCode CodeAt(int64_t row, int64_t block) const;
  // Whether the nibble after the last level of a row, where there is one, holds anything: writers
  // leave it 0, readers pass over it.
  bool HasStrayLevel(int64_t row) const;
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
// by CheckRow. Errors: INVALID_ARGUMENT naming file, tensor and reason.
absl::StatusOr<PackedFile> ReadPackedFile(std::shared_ptr<const SafetensorsFile> file);
// The same of a file that is opened first; errors of SafetensorsFile::Open too.
absl::StatusOr<PackedFile> OpenPackedFile(const std::string& path);

// INVALID_ARGUMENT naming tensor, row and block of the first zero seed in a row. `path` for the
// message.
absl::Status CheckRow(const PackedTensor& tensor, int64_t row, std::string_view path);

// Decodes one row to float32, `columns` weights (not yet narrowed to `dtype`). Pure, thread-safe;
// bit for bit what codec::DecodeBlock gives. REQUIRES: weights.size() == columns. A zero seed,
// which CheckRow would have refused, decodes as the register that it locks.
void DecodeRow(const PackedTensor& tensor, int64_t row, std::span<float> weights);
// A part of a row: weights[i] is column first_block * profile.block + i, for rows too long to hold.
// REQUIRES: weights end with the row or fill whole blocks.
void DecodeBlocks(const PackedTensor& tensor, int64_t row, int64_t first_block,
                  std::span<float> weights);

// How many blocks use each level.
std::array<int64_t, codec::kLevels> CountLevels(const PackedTensor& tensor);

}  // namespace seedlm::format
