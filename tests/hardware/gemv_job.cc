#include "tests/hardware/gemv_job.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include "hardware/hls/host_levels.h"
#include "hardware/sim/machine.h"
#include "kernels/codec/basis.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/narrow.h"
#include "kernels/format/packed_codes.h"

namespace seedlm::hardware {
namespace {

__extension__ typedef __int128 Wide;

constexpr uint32_t kLargestHalf = 0x7BFF, kSign = 0x8000;

Fixed FromFloat16(uint32_t half) {
  if ((half & 0x7C00) == 0x7C00) return {0, true};
  return {static_cast<int64_t>(std::ldexp(codec::FromFloat16(static_cast<uint16_t>(half)), 24)),
          false};
}

// The integers of a word of 8 weights.
void SumsOf(const codec::BlockCode& code, int64_t sums[8]) {
  const codec::Basis basis = codec::MakeBasis(codec::k4bit, code.seed);
  for (size_t c = 0; c < 8; ++c) {
    sums[c] = 0;
    for (size_t p = 0; p < 3; ++p) sums[c] += int64_t{basis.at[c][p]} * code.q[p];
  }
}

size_t RowWords(Levels levels, int lines) {
  return static_cast<size_t>(kLanes * lines) * (levels == Levels::kNone ? 4 : 1);
}

bool BadLevels(const IntegerLevels& levels, Levels kind) {
  for (size_t i = 0; kind != Levels::kNone && i < levels.shift.size(); ++i) {
    if (levels.shift[i] > kMaxLevelShift) return true;
    if (kind == Levels::kPow2 && levels.digits[i] != 0x800000) return true;
  }
  return false;
}

void SetHalf(uint32_t& word, int i, uint32_t half) {
  word = (word & ~(0xFFFFu << (16 * i))) | (half << (16 * i));
}

// The 4bit word, level 15 and all coefficients -8, whose integers are the largest together.
uint32_t LargestWord() {
  uint32_t worst = 0;
  int64_t largest = 0;
  for (uint32_t seed = 1; seed < 65536; ++seed) {
    int64_t sums[8], total = 0;
    SumsOf(codec::UnpackWord(codec::k4bit, 0xF8880000u | seed, 0), sums);
    for (const int64_t sum : sums) total += std::abs(sum);
    if (total > largest) {
      largest = total;
      worst = 0xF8880000u | seed;
    }
  }
  return worst;
}

}  // namespace

std::vector<Fixed> Values(const std::vector<uint32_t>& wire, Activations activations) {
  const bool int8 = activations == Activations::kInt8;
  std::vector<Fixed> values;
  for (const uint32_t word : wire) {
    for (int i = 0; i < (int8 ? 4 : 2); ++i) {
      values.push_back(int8 ? Fixed{static_cast<int8_t>(word >> (8 * i)), false}
                            : FromFloat16((word >> (16 * i)) & 0xFFFF));
    }
  }
  return values;
}

Result Expected(const Job& job, Levels levels, const std::vector<Fixed>& x, size_t row) {
  const size_t row_words = RowWords(levels, job.command.lines_per_row);
  const uint32_t* words = &job.weights[row * row_words];
  const float scale = job.scales.empty() ? 1.0f : job.scales[row];
  Result result;
  if (BadLevels(job.command.levels, levels)) result.flags |= kBadLevels;
  if (x.size() != static_cast<size_t>(kColumnsPerLine * job.command.lines_per_row)) {
    result.flags |= kBadLength;
    result.known &= ~kNotFinite;  // which activations a row meets is not defined
  }
  result.means_something = result.flags == 0 && std::isfinite(scale);
  if (!std::isfinite(scale)) result.flags |= kNotFinite;
  for (const Fixed& value : x) {
    if (value.not_finite) result.flags |= kNotFinite;
  }
  Wide sum = 0;
  for (size_t i = 0; i < row_words; ++i) {
    if (levels == Levels::kNone) {
      for (size_t k = 0; k < 2; ++k) {
        const Fixed w = FromFloat16((words[i] >> (16 * k)) & 0xFFFF);
        if (w.not_finite) result.flags |= kNotFinite;
        if (result.means_something) sum += static_cast<Wide>(w.value) * x[2 * i + k].value;
      }
      continue;
    }
    const codec::BlockCode code = codec::UnpackWord(codec::k4bit, words[i], 0);
    if (code.seed == 0) result.flags |= kZeroSeed;
    if (!result.means_something) continue;
    int64_t sums[8];
    SumsOf(code, sums);
    Wide dot = 0;
    for (size_t c = 0; c < 8; ++c) dot += static_cast<Wide>(sums[c]) * x[8 * i + c].value;
    if (levels == Levels::kFitted) dot *= job.command.levels.digits[code.level];
    sum += dot * (static_cast<Wide>(1) << job.command.levels.shift[code.level]);
  }
  const double product = double{static_cast<float>(sum)} * double{scale};  // 24 + 24 bits: exact
  result.bits = codec::FloatBits(static_cast<float>(std::ldexp(product, job.command.unit)));
  return result;
}

Job RandomJob(const Unit& unit, Levels levels, int64_t rows, int lines, bool keep_last,
              bool hostile, Random& random) {
  Job job;
  job.command.rows = rows;
  job.command.lines_per_row = lines;
  job.command.unit = static_cast<int>(random() % 100) - 150;
  if (random() % 8 == 0) job.command.unit = static_cast<int>(random() % 400) - 300;
  for (size_t i = 0; i < job.command.levels.digits.size(); ++i) {
    const uint32_t fraction = static_cast<uint32_t>(random()) & 0x7FFFFFu;
    job.command.levels.digits[i] = 0x800000u | (levels == Levels::kPow2 ? 0 : fraction);
    job.command.levels.shift[i] = static_cast<int>(random() % (kMaxLevelShift + 1));
  }
  if (hostile && random() % 4 == 0)
    job.command.levels.shift[random() % 16] = static_cast<int>(28 + random() % 4);
  if (hostile && random() % 4 == 0) job.command.levels.digits[random() % 16] |= 1;
  const auto halves = [&](uint32_t bits) {
    for (const int at : {0, 16}) {
      const bool not_finite = ((bits >> at) & 0x7C00) == 0x7C00;
      if (not_finite && !(hostile && random() % 64 == 0)) bits &= ~(0x4000u << at);
    }
    return bits;
  };
  if (!keep_last) {
    const int beats = lines * unit.beats_per_line();
    const int wrong = hostile && random() % 4 == 0 ? static_cast<int>(random() % 9) - 4 : 0;
    job.vector.resize(static_cast<size_t>(kLanes * std::max(1, beats + wrong)));
    for (uint32_t& word : job.vector) {
      word = static_cast<uint32_t>(random());
      if (unit.activations == Activations::kFloat16) word = halves(word);
    }
  }
  job.weights.resize(static_cast<size_t>(rows) * RowWords(levels, lines));
  for (uint32_t& word : job.weights) {
    word = static_cast<uint32_t>(random());
    if (levels == Levels::kNone) {
      word = halves(word);
    } else if ((word & 0xFFFF) == 0 || (hostile && random() % 500 == 0)) {
      word = (word & 0xFFFF0000u) | (hostile ? 0 : 1);
    }
  }
  job.command.row_scales = random() % 2 != 0;
  for (int64_t r = 0; job.command.row_scales && r < rows; ++r) {
    uint32_t exponent = static_cast<uint32_t>(random() % 8 == 0 ? random() % 255 : 127);
    if (hostile && random() % 16 == 0) exponent = 255;
    job.scales.push_back(
        codec::FloatFromBits((static_cast<uint32_t>(random()) & 0x807FFFFFu) | (exponent << 23)));
  }
  return job;
}

Job ExtremeJob(const Unit& unit, Levels levels) {
  Job job;
  job.command.lines_per_row = kMaxLines;
  job.command.rows = 2;
  job.command.unit = -100;
  job.command.levels.digits.fill(levels == Levels::kPow2 ? 0x800000 : 0xFFFFFF);
  job.command.levels.shift.fill(kMaxLevelShift);
  const uint32_t largest = LargestWord();
  codec::BlockCode code = codec::UnpackWord(codec::k4bit, largest, 0);
  int64_t sums[8];
  SumsOf(code, sums);
  const bool int8 = unit.activations == Activations::kInt8;
  job.vector.resize(static_cast<size_t>(kMaxLines * unit.beats_per_line() * kLanes));
  for (size_t i = 0; i < job.vector.size(); ++i) {
    for (size_t k = 0; k < (int8 ? 4u : 2u); ++k) {
      const bool minus = sums[(i * (int8 ? 4 : 2) + k) % 8] < 0;
      if (int8) {
        job.vector[i] |= (minus ? 0x80u : 0x7Fu) << (8 * k);
      } else {
        SetHalf(job.vector[i], static_cast<int>(k), kLargestHalf | (minus ? kSign : 0));
      }
    }
  }
  // The second row: the same magnitudes, the other sign. A coefficient of -8 has no opposite, so it
  // is 7 there.
  const size_t row_words = RowWords(levels, kMaxLines);
  for (size_t i = 0; i < 2 * row_words; ++i) {
    const bool second = i >= row_words;
    uint32_t word = second ? (largest & 0xF000FFFFu) | 0x07770000u : largest;
    if (levels == Levels::kNone) {
      word = job.vector[i % job.vector.size()];
      if (second) word ^= kSign | (kSign << 16);
    }
    job.weights.push_back(word);
  }
  return job;
}

Job OverlongJob(const Unit& unit, Levels levels, Random& random) {
  Job job = RandomJob(unit, levels, 3, 1, false, false, random);
  job.vector.resize(static_cast<size_t>((kMaxLines + 1) * unit.beats_per_line() * kLanes));
  return job;
}

Job TensorJob(const Unit& unit, Levels levels, const format::PackedTensor& tensor, Random& random) {
  if (tensor.profile.name != codec::k4bit.name || tensor.columns % 8 != 0) Fail(tensor.name);
  const absl::StatusOr<IntegerLevels> integers = ToIntegerLevels(tensor.scale);
  if (!integers.ok()) Fail(std::string(integers.status().message()));
  const int lines = static_cast<int>((tensor.columns + kColumnsPerLine - 1) / kColumnsPerLine);
  Job job = RandomJob(unit, levels, tensor.rows, lines, false, false, random);
  job.command.levels = *integers;
  if (levels == Levels::kPow2) {
    // The host's step; a table that has no common significand goes in as it is, and is flagged.
    const absl::StatusOr<ShiftLevels> shifts = ToShiftLevels(tensor.scale);
    if (shifts.ok()) {
      job.command.levels = shifts->levels;
      job.command.row_scales = true;
      job.scales.resize(static_cast<size_t>(tensor.rows), 1.0f);
      seedlm_hls::fold_significand(shifts->significand, job.scales.data(), job.scales.size());
    }
  }
  job.command.unit = job.command.levels.unit - (unit.activations == Activations::kFloat16 ? 24 : 0);
  job.weights.assign(job.weights.size(), 1);  // the padding's block
  const size_t row_words = RowWords(levels, lines);
  const absl::Status read =
      format::ReadCodes(tensor, 0, tensor.rows, [&](const format::CodePiece& piece) {
        const format::CodeRange& range = piece.range();
        for (int64_t r = range.first_row; r < range.end_row(); ++r) {
          for (int64_t b = range.first_block; b < range.end_block(); ++b) {
            job.weights[static_cast<size_t>(r) * row_words + static_cast<size_t>(b)] =
                codec::PackWord(codec::k4bit, piece.CodeAt(r, b));
          }
        }
        return absl::OkStatus();
      });
  if (!read.ok()) Fail(std::string(read.message()));
  return job;
}

}  // namespace seedlm::hardware
