// The codes of a compressed tensor: read in pieces of bounded size, and decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/codec/block_code.h"
#include "kernels/format/packed_tensor.h"

namespace seedlm::format {

// Blocks [first_block, first_block + blocks) of rows [first_row, first_row + rows).
struct CodeRange {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t first_block = 0;
  int64_t blocks = 0;

  int64_t end_row() const { return first_row + rows; }
  int64_t end_block() const { return first_block + blocks; }
};

// Codes in memory, of whole rows or of a part of one row. Immutable, thread-safe; points to all
// that it is made of. Rows and blocks are counted as in the tensor.
class CodePiece {
 public:
  // `words`: the part of N_packed; `levels`: that of N_level, empty where the profile has none.
  // REQUIRES: first_block is even, as two levels share a byte.
  CodePiece(const PackedTensor& tensor, const CodeRange& range, std::span<const std::byte> words,
            std::span<const std::byte> levels);

  const CodeRange& range() const { return range_; }
  // Weights of one row in the piece: the last block of a row may be padded.
  int64_t columns() const;
  bool ends_row() const { return range_.end_block() == tensor_.blocks_per_row(); }

  // REQUIRES of these: row and block are in the range.
  codec::BlockCode CodeAt(int64_t row, int64_t block) const;
  // The first block of the row's part with a zero seed, which no writer makes.
  std::optional<int64_t> FirstZeroSeed(int64_t row) const;
  // INVALID_ARGUMENT naming file, tensor, row and block if there is one.
  absl::Status CheckRow(int64_t row) const;
  // Whether the nibble after the last level of the row, where there is one, holds anything: writers
  // leave it 0, readers pass over it. False before the end of a row.
  bool HasStrayLevel(int64_t row) const;

  // Decodes to float32, not yet narrowed to the tensor's dtype: weights[i] is column
  // first_block * profile.block + i. Bit for bit what codec::DecodeBlock gives. A zero seed, which
  // CheckRow would have refused, decodes as the register that it locks. REQUIRES: the weights end
  // with the row or fill whole blocks.
  void Decode(int64_t row, int64_t first_block, std::span<float> weights) const;
  // The row's part in the piece. REQUIRES: weights.size() == columns().
  void DecodeRow(int64_t row, std::span<float> weights) const {
    Decode(row, range_.first_block, weights);
  }

 private:
  uint32_t WordAt(int64_t row, int64_t block) const;
  const uint8_t* LevelRow(int64_t row) const;
  uint32_t LevelAt(int64_t row, int64_t block) const;

  const PackedTensor& tensor_;
  CodeRange range_;
  std::span<const std::byte> words_;
  std::span<const std::byte> levels_;
};

// Blocks of a piece, at most: 64 KiB of words, 1 MiB of float32 weights.
inline constexpr int64_t kPieceBlocks = 1 << 14;

// Reads the codes of rows [first_row, first_row + row_count) in order: pieces of as many whole rows
// as there is room for, or parts of a row that has no room. What `visit` gets is gone when it
// returns; a status of it that is not OK ends the reading. Thread-safe. Errors: those of
// SafetensorsFile::Read and of `visit`. REQUIRES: inside the tensor.
absl::Status ReadCodes(const PackedTensor& tensor, int64_t first_row, int64_t row_count,
                       absl::FunctionRef<absl::Status(const CodePiece& piece)> visit);

// One code. Errors: those of SafetensorsFile::Read. REQUIRES: inside the tensor.
absl::StatusOr<codec::BlockCode> ReadCode(const PackedTensor& tensor, int64_t row, int64_t block);

}  // namespace seedlm::format
