// Decoding and comparing on the (emulated) device against the codec.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/shape.h"
#include "kernels/cuda/block_decoder.h"
#include "kernels/cuda/decode.h"
#include "tests/kernels/emulated_machine.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::cuda {
namespace {

using backend::WeightType;
using codec::Profile;

struct Planes {
  std::vector<uint32_t> words;
  std::vector<uint8_t> levels;
  std::vector<float> scale;
  PlanesView view;
};

// Random codes on levels from subnormal results to float16's overflow.
Planes MakePlanes(const Profile& profile, int64_t rows, int64_t columns) {
  std::mt19937 bits(static_cast<unsigned>(columns));
  Planes planes;
  const int64_t per_row = profile.blocks_per_row(columns);
  for (int64_t i = 0; i < rows * per_row; ++i) planes.words.push_back(bits() | 1u);
  for (int64_t i = 0; i < rows * codec::LevelRowBytes(profile, per_row); ++i) {
    planes.levels.push_back(static_cast<uint8_t>(bits()));
  }
  for (int i = 0; i < codec::kLevels; ++i) planes.scale.push_back(std::ldexp(1.1f, 2 * i - 40));
  planes.view = {
      planes.words.data(), planes.levels.data(), planes.scale.data(), rows, columns, per_row};
  return planes;
}

std::vector<float> Decoded(const Profile& profile, const PlanesView& planes) {
  std::vector<float> weights;
  for (int64_t row = 0; row < planes.rows; ++row) {
    for (int64_t b = 0; b < planes.blocks_per_row; ++b) {
      const uint32_t level =
          profile.level_in_word()
              ? 0
              : codec::GetLevelNibble(
                    planes.levels + row * codec::LevelRowBytes(profile, planes.blocks_per_row), b);
      float block[codec::kMaxBlock];
      codec::DecodeBlock(
          profile, codec::UnpackWord(profile, planes.words[row * planes.blocks_per_row + b], level),
          planes.scale, block);
      const int64_t left = planes.columns - b * profile.block;
      weights.insert(weights.end(), block, block + std::min<int64_t>(left, profile.block));
    }
  }
  return weights;
}

std::vector<std::byte> Narrowed(WeightType type, const std::vector<float>& weights) {
  std::vector<std::byte> bytes(weights.size() * static_cast<size_t>(backend::ByteWidth(type)));
  if (type == WeightType::kF32) {
    std::memcpy(bytes.data(), weights.data(), bytes.size());
    return bytes;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint16_t narrow =
        type == WeightType::kF16 ? codec::ToFloat16(weights[i]) : codec::ToBfloat16(weights[i]);
    std::memcpy(&bytes[2 * i], &narrow, sizeof narrow);
  }
  return bytes;
}

TEST_CASE("every seed decodes to the codec's bits", "[cuda][decode]") {
  std::mt19937 bits(3);
  std::vector<float> scale;
  for (int i = 0; i < codec::kLevels; ++i) scale.push_back(std::ldexp(1.1f, i - 40));
  for (const Profile& profile : codec::kProfiles) {
    int wrong = 0;
    for (uint32_t seed = 0; seed < 1u << 16; ++seed) {
      // Some with the extreme coefficients.
      const uint32_t word = seed | (seed % 16 == 0   ? 0x8888u
                                    : seed % 16 == 1 ? 0x7777u
                                                     : bits())
                                       << 16;
      const uint32_t level = bits() % codec::kLevels;
      float expected[codec::kMaxBlock], got[codec::kMaxBlock];
      codec::DecodeBlock(profile, codec::UnpackWord(profile, word, level), scale.data(), expected);
      codec::WithShape(profile, [&](auto shape) {
        DecodeWord<decltype(shape)>(word, level, scale.data(), got);
      });
      wrong += std::memcmp(got, expected, static_cast<size_t>(profile.block) * sizeof(float)) != 0;
    }
    CAPTURE(profile.name);
    CHECK(wrong == 0);
  }
}

TEST_CASE("decoded weights have the codec's bits", "[cuda][decode]") {
  const auto type = GENERATE(WeightType::kF32, WeightType::kF16, WeightType::kBF16);
  for (const Profile& profile : codec::kProfiles) {
    for (const int64_t columns : {1, 8, 13, 48, 50, 99}) {  // whole blocks, padded, unaligned rows
      CAPTURE(profile.name, columns, static_cast<int>(type));
      const Planes planes = MakePlanes(profile, 7, columns);
      const auto expected = Narrowed(type, Decoded(profile, planes.view));
      // Nothing is written behind the end: the sanitizers watch.
      std::vector<std::byte> got(expected.size());
      const TestStream stream;
      REQUIRE(QueueDecode(profile, planes.view, type, got.data(), stream.stream) == cudaSuccess);
      REQUIRE(cudaStreamSynchronize(stream.stream) == cudaSuccess);
      CHECK(got == expected);
    }
  }
}

TEST_CASE("a comparison finds the error that is there", "[cuda][decode]") {
  for (const Profile& profile : codec::kProfiles) {
    CAPTURE(profile.name);
    constexpr int64_t kRows = 3;
    const int64_t columns = 200 * profile.block - 1;  // more blocks than threads
    const Planes planes = MakePlanes(profile, kRows, columns);
    std::vector<float> original = Decoded(profile, planes.view);
    original[5] += 1;
    original[static_cast<size_t>(2 * columns - 1)] -= 3;
    original[static_cast<size_t>(2 * columns - 2)] += 2;
    Comparison rows[kRows];
    const TestStream stream;
    REQUIRE(QueueCompare(profile, planes.view, WeightType::kF32, original.data(), rows,
                         stream.stream) == cudaSuccess);
    REQUIRE(cudaStreamSynchronize(stream.stream) == cudaSuccess);
    CHECK(rows[0].squared_difference == Approx(1).epsilon(1e-4));
    CHECK(rows[0].max_difference == Approx(1).epsilon(1e-4));
    CHECK(rows[1].squared_difference == Approx(13).epsilon(1e-4));
    CHECK(rows[1].max_difference == Approx(3).epsilon(1e-4));
    CHECK(rows[2].squared_difference == 0);
    double squared = 0;
    for (int64_t i = 0; i < columns; ++i) {
      const double w = original[static_cast<size_t>(2 * columns + i)];
      squared += w * w;
    }
    CHECK(rows[2].squared_original == Approx(squared));
  }
}

}  // namespace
}  // namespace seedlm::cuda
