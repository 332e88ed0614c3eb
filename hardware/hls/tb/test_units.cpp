// The matrix-vector units of the bench, see test_bench.cpp.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "hardware/hls/gemv.h"
#include "hardware/hls/host_levels.h"
#include "hardware/hls/tb/bench.h"
#include "hardware/hls/tb/expected.h"

using namespace seedlm_hls;

namespace test_bench {
namespace {

enum Unit { kGemv, kGemvPow2, kGemvInt8, kGemvFp16 };
const Unit kUnits[] = {kGemv, kGemvPow2, kGemvInt8, kGemvFp16};

int halves_per_beat(Unit unit) { return unit == kGemvInt8 ? 64 : 32; }
int words_per_chunk(Unit unit) { return unit == kGemvFp16 ? 4 : 1; }

// What a unit is given. Co-simulation copies whole arrays: the depths of gemv_ports.h.
struct Arrays {
  std::vector<port_t> weights = std::vector<port_t>(1024, 0);
  std::vector<port_t> activations = std::vector<port_t>(1024, 0);
  std::vector<float_bits_t> row_scales = std::vector<float_bits_t>(16, 0);
  std::vector<float_bits_t> results = std::vector<float_bits_t>(16, 0);
  float_bits_t levels[kLevels];
};

// Starts a unit; its status.
unsigned run(Unit unit, Arrays& a, ap_uint<32> rows, ap_uint<16> chunks) {
  ap_uint<4> status = 15;
  switch (unit) {
    case kGemv:
      seedlm_gemv(a.weights.data(), a.activations.data(), a.row_scales.data(), a.results.data(),
                  a.levels, rows, chunks, &status);
      break;
    case kGemvPow2:
      seedlm_gemv_pow2(a.weights.data(), a.activations.data(), a.row_scales.data(),
                       a.results.data(), a.levels, rows, chunks, &status);
      break;
    case kGemvInt8:
      seedlm_gemv_int8(a.weights.data(), a.activations.data(), a.row_scales.data(),
                       a.results.data(), a.levels, rows, chunks, &status);
      break;
    case kGemvFp16:
      gemv_fp16(a.weights.data(), a.activations.data(), a.row_scales.data(), a.results.data(), rows,
                chunks, &status);
      break;
  }
  return status.to_uint();
}

uint16_t half_at(const port_t& word, int k) {
  return static_cast<uint16_t>(word(16 * k + 15, 16 * k).to_uint());
}

bool not_finite(uint16_t half) { return (half & 0x7C00) == 0x7C00; }

// The 2^0 of the shifts' float32 exponents.
int lowest_field(const Arrays& arrays) {
  uint32_t lowest = 255;
  for (const float_bits_t& level : arrays.levels) lowest = std::min(lowest, level.to_uint() >> 23);
  return static_cast<int>(lowest);
}

// A word of the weights against the activations from `x` on, exact.
wide_t word_sum(Unit unit, const Arrays& arrays, const port_t& word, const int64_t* x,
                unsigned& status) {
  wide_t sum = 0;
  if (unit == kGemvFp16) {
    for (int k = 0; k < 32; ++k) {
      if (not_finite(half_at(word, k))) status |= kNotFinite;
      sum += static_cast<wide_t>(integer_of_float16(half_at(word, k))) * x[k];
    }
    return sum;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const uint32_t code = word(32 * lane + 31, 32 * lane).to_uint();
    if ((code & 0xFFFF) == 0) status |= kZeroSeed;
    const std::vector<int64_t> sums = sums_of(code, 8, 3);
    wide_t dot = 0;
    for (int c = 0; c < 8; ++c) dot += static_cast<wide_t>(sums[c]) * x[lane * 8 + c];
    const uint32_t level = arrays.levels[code >> 28].to_uint();
    if (unit != kGemvPow2) dot *= (level & 0x7FFFFF) | 0x800000;
    const int shift = static_cast<int>(level >> 23) - lowest_field(arrays);
    sum += dot * (static_cast<wide_t>(1) << shift);
  }
  return sum;
}

// Runs a unit and compares status and every row with the definition.
void compare(const std::string& name, Unit unit, Arrays& arrays, int rows, int chunks) {
  const unsigned status = run(unit, arrays, rows, chunks);
  unsigned expected_status = 0;
  std::vector<int64_t> x;
  for (int i = 0; i < chunks * 128 / halves_per_beat(unit); ++i) {
    const port_t& beat = arrays.activations[i];
    for (int k = 0; k < halves_per_beat(unit); ++k) {
      if (unit == kGemvInt8) {
        x.push_back(static_cast<int8_t>(beat(8 * k + 7, 8 * k).to_uint()));
      } else {
        if (not_finite(half_at(beat, k))) expected_status |= kNotFinite;
        x.push_back(integer_of_float16(half_at(beat, k)));
      }
    }
  }
  int exponent = -48;  // of the sum's unit
  if (unit != kGemvFp16) {
    exponent =
        lowest_field(arrays) - 150 - (unit == kGemvInt8 ? 0 : 24) + (unit == kGemvPow2 ? 23 : 0);
  }
  const int words = words_per_chunk(unit) * chunks;
  for (int r = 0; r < rows; ++r) {
    wide_t sum = 0;
    for (int i = 0; i < words; ++i) {
      sum += word_sum(unit, arrays, arrays.weights[r * words + i], &x[x.size() / words * i],
                      expected_status);
    }
    const float expected = row_result(sum, float_of(arrays.row_scales[r].to_uint()), exponent);
    check(arrays.results[r] == bits_of(expected), name + ": row " + std::to_string(r));
  }
  check(status == expected_status, name + ": status " + std::to_string(status) + ", expected " +
                                       std::to_string(expected_status));
}

std::string name_of(Unit unit, int rows, int chunks) {
  return "unit " + std::to_string(unit) + ", " + std::to_string(rows) + " x " +
         std::to_string(128 * chunks);
}

// Row scales of the layer, and for the unit whose levels are shifts their significand in them;
// false if that unit cannot take the levels.
bool set_row_scales(Unit unit, const std::vector<float>& scales, Arrays& arrays) {
  std::vector<float> folded = scales;
  if (unit == kGemvPow2) {
    uint32_t levels[kLevels];
    for (int i = 0; i < kLevels; ++i) levels[i] = arrays.levels[i].to_uint();
    float significand = 0;
    if (!common_significand(levels, significand)) return false;
    fold_significand(significand, folded.data(), folded.size());
  }
  arrays.row_scales.resize(std::max<size_t>(folded.size(), 16));
  for (size_t r = 0; r < folded.size(); ++r) arrays.row_scales[r] = bits_of(folded[r]);
  return true;
}

void random_activations(Unit unit, int chunks, bool hostile, Random& random, Arrays& arrays) {
  const size_t beats = static_cast<size_t>(chunks * 128 / halves_per_beat(unit));
  arrays.activations.resize(std::max<size_t>(beats, 1024));
  for (size_t i = 0; i < beats; ++i) {
    for (int k = 0; k < 32; ++k) {
      uint16_t bits = static_cast<uint16_t>(random.next() >> 13);
      if (unit != kGemvInt8 && not_finite(bits)) bits &= 0xBFFF;
      if (unit != kGemvInt8 && hostile && i == 0 && k < 3) bits = k == 0 ? 0x7C00 : 0xFE00 + k;
      arrays.activations[i](16 * k + 15, 16 * k) = bits;
    }
  }
}

// A matrix of random codes (or float16 weights) against random activations; `hostile`: with a zero
// seed, infinities and NaN.
void random_matrix(Unit unit, int rows, int chunks, bool hostile) {
  Random random;
  Arrays arrays;
  for (int i = 0; i < kLevels; ++i) {
    const uint32_t digits = unit == kGemvPow2 ? 0x000100 : random.next() & 0x7FFFFF;
    arrays.levels[i] = ((95 + (unit == kGemvPow2 ? i : 5 * i / 3)) << 23) | digits;
  }
  random_activations(unit, chunks, hostile, random, arrays);
  for (auto& word : arrays.weights) {
    for (int k = 0; k < 32; ++k) {
      uint16_t half = static_cast<uint16_t>(random.next() >> 17);
      if (unit == kGemvFp16 ? not_finite(half) : (k % 2 == 0 && half == 0)) half = 1;
      word(16 * k + 15, 16 * k) = half;
    }
  }
  if (hostile) arrays.weights[1](15, 0) = unit == kGemvFp16 ? 0x7C00 : 0;
  std::vector<float> scales;
  for (int r = 0; r < rows; ++r) scales.push_back(std::ldexp(1.0f + r % 7, -r % 11));
  check(set_row_scales(unit, scales, arrays), "levels with a common significand were refused");
  compare(name_of(unit, rows, chunks) + (hostile ? ", hostile" : ""), unit, arrays, rows, chunks);
}

// The longest row, every product as large as it can be and of one sign: the accumulators' last bit.
void extreme_row(Unit unit, bool negative) {
  Arrays arrays;
  std::fill(arrays.levels, arrays.levels + kLevels, float_bits_t((100u << 23) | 0x7FFFFF));
  arrays.levels[15] = (127u << 23) | 0x7FFFFF;  // 27 octaves above the others
  // The seed whose sums, all coefficients -8, are the largest together.
  uint32_t worst = 0;
  int64_t largest = 0;
  for (uint32_t seed = 1; seed < 65536; ++seed) {
    int64_t total = 0;
    for (int64_t sum : sums_of(0xF8880000u | seed, 8, 3)) total += std::abs(sum);
    if (total > largest) {
      largest = total;
      worst = 0xF8880000u | seed;
    }
  }
  const std::vector<int64_t> sums = sums_of(worst, 8, 3);
  for (port_t& word : arrays.weights) {
    for (int k = 0; k < 32; ++k) word(16 * k + 15, 16 * k) = 0x7BFF;
    for (int lane = 0; unit != kGemvFp16 && lane < kLanes; ++lane) {
      word(32 * lane + 31, 32 * lane) = worst;
    }
  }
  for (port_t& beat : arrays.activations) {
    for (int k = 0; k < halves_per_beat(unit); ++k) {
      const bool minus = negative != (unit != kGemvFp16 && sums[k % 8] < 0);
      if (unit == kGemvInt8) {
        beat(8 * k + 7, 8 * k) = minus ? 0x80 : 0x7F;
      } else {
        beat(16 * k + 15, 16 * k) = minus ? 0xFBFF : 0x7BFF;
      }
    }
  }
  check(set_row_scales(unit, {1.0f}, arrays), "levels with a common significand were refused");
  compare(name_of(unit, 1, kMaxChunks) + ", extremes", unit, arrays, 1, kMaxChunks);
}

// Shapes, row scales and level tables that a unit cannot take.
void refusals(Unit unit) {
  const std::string name = "unit " + std::to_string(unit);
  Arrays arrays;
  for (port_t& word : arrays.weights) {
    for (int lane = 0; lane < kLanes; ++lane) word[32 * lane] = 1;  // seed 1, coefficients 0
  }
  const auto set_levels = [&](uint32_t bits) {
    std::fill(arrays.levels, arrays.levels + kLevels, float_bits_t(100u << 23));
    arrays.levels[3] = bits;
  };
  set_levels(100u << 23);
  const struct {
    unsigned rows, chunks;
  } shapes[] = {{2, 0}, {2, kMaxChunks + 1}, {kMaxRows + 1, 1}};
  for (const auto& shape : shapes) {
    std::fill(arrays.results.begin(), arrays.results.end(), float_bits_t(0x1234));
    check(run(unit, arrays, shape.rows, shape.chunks) == kBadShape,
          name + ": a bad shape is not flagged");
    check(arrays.results[0] == 0x1234, name + ": a bad shape was computed");
  }
  for (uint32_t bits : {0x7F800000u, 0xFFC00000u}) {
    arrays.row_scales[1] = bits;
    check(run(unit, arrays, 2, 1) == kNotFinite, name + ": a row scale that is not finite");
    check(run(unit, arrays, 1, 1) == 0, name + ": a row scale that is not there is flagged");
  }
  if (unit == kGemvFp16) return;
  for (uint32_t bits : {0u, 1u, 0xB2000000u, 0x7F800000u, 128u << 23, 72u << 23}) {
    set_levels(bits);
    check(run(unit, arrays, 1, 1) == kBadLevels, name + ": a bad level is not flagged");
  }
  for (uint32_t bits : {127u << 23, 73u << 23}) {
    set_levels(bits);
    check(run(unit, arrays, 1, 1) == 0, name + ": a good level is flagged");
  }
  set_levels((100u << 23) | 1);
  check(run(unit, arrays, 1, 1) == (unit == kGemvPow2 ? kBadLevels : 0),
        name + ": levels with two significands");
}

}  // namespace

void check_units() {
  for (Unit unit : kUnits) {
    random_matrix(unit, 5, 3, false);
    random_matrix(unit, 1, 1, false);
    random_matrix(unit, 3, 2, true);
    extreme_row(unit, false);
    extreme_row(unit, true);
    refusals(unit);
  }
}

void check_units_on(const PackedTensor& tensor, const std::string& name) {
  const int kRows = 48;  // of the tensor: enough, and quick
  const int rows = static_cast<int>(std::min<int64_t>(tensor.rows, kRows));
  const int64_t blocks = tensor.columns / 8;
  const int chunks = static_cast<int>((blocks + kLanes - 1) / kLanes);
  if (!check(chunks <= kMaxChunks, name + ": its rows are longer than a unit takes")) return;
  for (Unit unit : {kGemv, kGemvPow2, kGemvInt8}) {
    Random random;
    Arrays arrays;
    for (int i = 0; i < kLevels; ++i) arrays.levels[i] = tensor.scale[i];
    random_activations(unit, chunks, false, random, arrays);
    arrays.weights.assign(static_cast<size_t>(rows * chunks), 0);
    arrays.results.resize(std::max(rows, 16));
    for (int64_t i = 0; i < int64_t{rows} * chunks * kLanes; ++i) {
      const int64_t row = i / (chunks * kLanes), block = i % (chunks * kLanes);
      const int low = static_cast<int>(32 * (i % kLanes));
      arrays.weights[static_cast<size_t>(i / kLanes)](low + 31, low) =
          block < blocks ? tensor.words[static_cast<size_t>(row * blocks + block)] : 1u;
    }
    const std::string what = name + ", unit " + std::to_string(unit);
    if (set_row_scales(unit, std::vector<float>(static_cast<size_t>(rows), 1.0f), arrays)) {
      compare(what, unit, arrays, rows, chunks);
    } else {
      check(run(unit, arrays, 1, chunks) == kBadLevels,
            what + ": levels are no shifts, not flagged");
    }
  }
}

}  // namespace test_bench
