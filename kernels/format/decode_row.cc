#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/format/packed_tensor.h"
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

uint32_t WordAt(const PackedTensor& tensor, int64_t index) {
  uint32_t word;
  std::memcpy(&word, tensor.words.data() + index * sizeof word, sizeof word);
  return word;
}

const uint8_t* LevelRow(const PackedTensor& tensor, int64_t row) {
  const int64_t row_bytes = codec::LevelRowBytes(tensor.profile, tensor.blocks_per_row());
  return reinterpret_cast<const uint8_t*>(tensor.levels.data()) + row * row_bytes;
}

// codec::DecodeBlock with the basis read from the stream.
template <const codec::Profile& kProfile>
void DecodeCode(const codec::BlockCode& code, const float* scale, float* weights) {
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

template <const codec::Profile& kProfile>
void DecodeRange(const PackedTensor& tensor, int64_t row, int64_t block, std::span<float> weights) {
  static_assert(kProfile.lfsr_width == kWidth && kProfile.block * kProfile.rank + kWidth <= 64);
  const int64_t first_word = row * tensor.blocks_per_row();
  const uint8_t* levels = kProfile.level_in_word() ? nullptr : LevelRow(tensor, row);
  const auto decode = [&](int64_t b, float* out) {
    const uint32_t level = levels == nullptr ? 0 : codec::GetLevelNibble(levels, b);
    const uint32_t word = WordAt(tensor, first_word + b);
    DecodeCode<kProfile>(codec::UnpackWord(kProfile, word, level), tensor.scale.data(), out);
  };
  while (weights.size() >= static_cast<size_t>(kProfile.block)) {
    decode(block++, weights.data());
    weights = weights.subspan(kProfile.block);
  }
  if (weights.empty()) return;
  float last[kProfile.block];
  decode(block, last);
  std::copy_n(last, weights.size(), weights.data());
}

}  // namespace

codec::BlockCode PackedTensor::CodeAt(int64_t row, int64_t block) const {
  const uint32_t level =
      profile.level_in_word() ? 0 : codec::GetLevelNibble(LevelRow(*this, row), block);
  return codec::UnpackWord(profile, WordAt(*this, row * blocks_per_row() + block), level);
}

bool PackedTensor::HasStrayLevel(int64_t row) const {
  const int64_t blocks = blocks_per_row();
  if (profile.level_in_word() || blocks % 2 == 0) return false;
  return codec::GetLevelNibble(LevelRow(*this, row), blocks) != 0;
}

absl::Status CheckRow(const PackedTensor& tensor, int64_t row, std::string_view path) {
  const int64_t blocks = tensor.blocks_per_row();
  for (int64_t block = 0; block < blocks; ++block) {
    if ((WordAt(tensor, row * blocks + block) & 0xFFFF) != 0) continue;
    return absl::InvalidArgumentError(Cat(Printable(path), ": tensor '", Printable(tensor.name),
                                          "': row ", row, ", block ", block, ": the seed is zero"));
  }
  return absl::OkStatus();
}

void DecodeBlocks(const PackedTensor& tensor, int64_t row, int64_t first_block,
                  std::span<float> weights) {
  const codec::Profile& profile = tensor.profile;
  if (profile.name == codec::k4bit.name) {
    DecodeRange<codec::k4bit>(tensor, row, first_block, weights);
  } else if (profile.name == codec::k3bit.name) {
    DecodeRange<codec::k3bit>(tensor, row, first_block, weights);
  } else if (profile.name == codec::k4_5bit.name) {
    DecodeRange<codec::k4_5bit>(tensor, row, first_block, weights);
  } else {
    DecodeRange<codec::k2bit>(tensor, row, first_block, weights);
  }
}

void DecodeRow(const PackedTensor& tensor, int64_t row, std::span<float> weights) {
  DecodeBlocks(tensor, row, 0, weights);
}

std::array<int64_t, codec::kLevels> CountLevels(const PackedTensor& tensor) {
  std::array<int64_t, codec::kLevels> counts{};
  for (int64_t row = 0; row < tensor.rows; ++row) {
    for (int64_t block = 0; block < tensor.blocks_per_row(); ++block) {
      ++counts[tensor.CodeAt(row, block).level];
    }
  }
  return counts;
}

}  // namespace seedlm::format
