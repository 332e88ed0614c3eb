#include "kernels/format/packed_codes.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/shape.h"
#include "kernels/format/fault.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

constexpr int kWidth = 16;

// The states that follow a seed are windows of one bit stream: state n is bits n .. n+15 of it,
// bits 0-15 being the seed itself. 64 bits hold the 48 states of the largest profile. The stream is
// linear over GF(2) in the seed, so two tables of 256 entries give it for every seed.
static_assert(codec::kMaxBlock * 3 + kWidth <= 64 && 12 * codec::kMaxRank + kWidth <= 64);

struct StreamTables {
  std::array<std::array<uint64_t, 256>, 2> of_byte{};
};

// The stream of a seed, out of the codec's register.
constexpr uint64_t WalkStream(uint32_t seed) {
  uint64_t stream = seed;
  uint32_t state = seed;
  for (int bit = kWidth; bit < 64; ++bit) {
    state = codec::NextState(state, kWidth);
    stream |= static_cast<uint64_t>(state >> (kWidth - 1)) << bit;
  }
  return stream;
}

constexpr StreamTables MakeTables() {
  StreamTables tables;
  for (int half = 0; half < 2; ++half) {
    for (uint32_t byte = 1; byte < 256; ++byte) {
      const uint32_t lowest = byte & (~byte + 1);
      const auto& done = tables.of_byte[half];
      tables.of_byte[half][byte] =
          byte == lowest ? WalkStream(byte << (8 * half)) : done[lowest] ^ done[byte ^ lowest];
    }
  }
  return tables;
}

constexpr StreamTables kTables = MakeTables();

// codec::DecodeBlock with the basis read from the stream.
template <typename Shape>
void DecodeCode(const codec::BlockCode& code, const float* scale, float* weights) {
  constexpr codec::Profile kProfile = Shape::profile();
  const uint64_t stream = kTables.of_byte[0][code.seed & 0xFF] ^ kTables.of_byte[1][code.seed >> 8];
  const float level = scale[code.level];
  for (int c = 0; c < kProfile.block; ++c) {
    int32_t basis_row[kProfile.rank];
    for (int p = 0; p < kProfile.rank; ++p) {
      const int state = c * kProfile.rank + p + 1;
      basis_row[p] = static_cast<int32_t>((stream >> state) & 0xFFFF) - kProfile.centre();
    }
    weights[c] = codec::DecodeWeight(kProfile, basis_row, code.q, level);
  }
}

uint32_t Word(const std::byte* words, int64_t index) {
  uint32_t word;
  std::memcpy(&word, words + index * static_cast<int64_t>(sizeof word), sizeof word);
  return word;
}

// Blocks from the first of `words` on. `levels`: null where the profile has none; begins with those
// of the `skipped` blocks before.
template <typename Shape>
void DecodeRun(const std::byte* words, const uint8_t* levels, int64_t skipped,
               const std::array<float, codec::kLevels>& scale, std::span<float> weights) {
  constexpr codec::Profile kProfile = Shape::profile();
  static_assert(kProfile.lfsr_width == kWidth && kProfile.block * kProfile.rank + kWidth <= 64);
  int64_t block = 0;
  const auto decode = [&](float* out) {
    const uint32_t level = levels == nullptr ? 0 : codec::GetLevelNibble(levels, skipped + block);
    DecodeCode<Shape>(codec::UnpackWord(kProfile, Word(words, block), level), scale.data(), out);
    ++block;
  };
  while (weights.size() >= static_cast<size_t>(kProfile.block)) {
    decode(weights.data());
    weights = weights.subspan(kProfile.block);
  }
  if (weights.empty()) return;
  float last[kProfile.block];
  decode(last);
  std::copy_n(last, weights.size(), weights.data());
}

// Where codes of a tensor lie in its planes, in bytes.
struct Extent {
  uint64_t words_offset, words_bytes;
  uint64_t levels_offset, levels_bytes;
};

Extent ExtentOf(const PackedTensor& tensor, const CodeRange& range) {
  const int64_t blocks = tensor.blocks_per_row();
  const auto bytes = [](int64_t count) { return static_cast<uint64_t>(count); };
  Extent extent{};
  extent.words_offset = bytes(range.first_row * blocks + range.first_block) * sizeof(uint32_t);
  extent.words_bytes = bytes(range.rows * range.blocks) * sizeof(uint32_t);
  if (tensor.levels == nullptr) return extent;
  const int64_t row_bytes = codec::LevelRowBytes(tensor.profile, blocks);
  extent.levels_offset = bytes(range.first_row * row_bytes + range.first_block / 2);
  extent.levels_bytes = bytes(range.rows * codec::LevelRowBytes(tensor.profile, range.blocks));
  return extent;
}

// Codes in memory of their own, which is used again.
struct CodeBuffer {
  std::vector<std::byte> words, levels;

  absl::Status Read(const PackedTensor& tensor, const CodeRange& range) {
    const Extent extent = ExtentOf(tensor, range);
    words.resize(extent.words_bytes);
    levels.resize(extent.levels_bytes);
    absl::Status status = tensor.file->Read(*tensor.words, extent.words_offset, words);
    if (!status.ok() || levels.empty()) return status;
    return tensor.file->Read(*tensor.levels, extent.levels_offset, levels);
  }
};

}  // namespace

CodePiece::CodePiece(const PackedTensor& tensor, const CodeRange& range,
                     std::span<const std::byte> words, std::span<const std::byte> levels)
    : tensor_(tensor), range_(range), words_(words), levels_(levels) {}

int64_t CodePiece::columns() const {
  const int64_t first = range_.first_block * tensor_.profile.block;
  return std::min(range_.blocks * tensor_.profile.block, tensor_.columns - first);
}

uint32_t CodePiece::WordAt(int64_t row, int64_t block) const {
  return Word(words_.data(), (row - range_.first_row) * range_.blocks + block - range_.first_block);
}

const uint8_t* CodePiece::LevelRow(int64_t row) const {
  if (levels_.empty()) return nullptr;
  return reinterpret_cast<const uint8_t*>(levels_.data()) +
         (row - range_.first_row) * codec::LevelRowBytes(tensor_.profile, range_.blocks);
}

codec::BlockCode CodePiece::CodeAt(int64_t row, int64_t block) const {
  const uint8_t* levels = LevelRow(row);
  const uint32_t level =
      levels == nullptr ? 0 : codec::GetLevelNibble(levels, block - range_.first_block);
  return codec::UnpackWord(tensor_.profile, WordAt(row, block), level);
}

bool CodePiece::HasStrayLevel(int64_t row) const {
  const uint8_t* levels = LevelRow(row);
  if (levels == nullptr || !ends_row() || range_.blocks % 2 == 0) return false;
  return codec::GetLevelNibble(levels, range_.blocks) != 0;
}

std::optional<int64_t> CodePiece::FirstZeroSeed(int64_t row) const {
  for (int64_t block = range_.first_block; block < range_.end_block(); ++block) {
    if ((WordAt(row, block) & 0xFFFF) == 0) return block;
  }
  return std::nullopt;
}

absl::Status CodePiece::CheckRow(int64_t row) const {
  const std::optional<int64_t> block = FirstZeroSeed(row);
  if (!block) return absl::OkStatus();
  return About(absl::InvalidArgumentError(Cat(Printable(tensor_.file->path()), ": tensor '",
                                              Printable(tensor_.name), "': row ", row, ", block ",
                                              *block, ": the seed is zero")),
               "tensor", tensor_.name);
}

void CodePiece::Decode(int64_t row, int64_t first_block, std::span<float> weights) const {
  const int64_t skipped = first_block - range_.first_block;
  const int64_t first = (row - range_.first_row) * range_.blocks + skipped;
  const std::byte* words = words_.data() + first * static_cast<int64_t>(sizeof(uint32_t));
  const uint8_t* levels = LevelRow(row);
  codec::WithShape(tensor_.profile, [&](auto shape) {
    DecodeRun<decltype(shape)>(words, levels, skipped, tensor_.scale, weights);
  });
}

absl::Status ReadCodes(const PackedTensor& tensor, int64_t first_row, int64_t row_count,
                       absl::FunctionRef<absl::Status(const CodePiece& piece)> visit) {
  const int64_t blocks = tensor.blocks_per_row();
  const int64_t rows_at_once = std::max<int64_t>(1, kPieceBlocks / blocks);
  const int64_t end_row = first_row + row_count;
  CodeBuffer buffer;
  for (int64_t row = first_row; row < end_row; row += rows_at_once) {
    for (int64_t block = 0; block < blocks; block += kPieceBlocks) {
      const CodeRange range{row, std::min(rows_at_once, end_row - row), block,
                            std::min(kPieceBlocks, blocks - block)};
      absl::Status status = buffer.Read(tensor, range);
      if (status.ok()) status = visit(CodePiece(tensor, range, buffer.words, buffer.levels));
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<codec::BlockCode> ReadCode(const PackedTensor& tensor, int64_t row, int64_t block) {
  // Two levels share a byte.
  const int64_t first = block - block % 2;
  const CodeRange range{row, 1, first, block + 1 - first};
  CodeBuffer buffer;
  if (absl::Status status = buffer.Read(tensor, range); !status.ok()) return status;
  return CodePiece(tensor, range, buffer.words, buffer.levels).CodeAt(row, block);
}

}  // namespace seedlm::format
