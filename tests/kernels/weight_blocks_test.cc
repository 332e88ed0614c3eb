#include "kernels/backend/weight_blocks.h"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/codec/narrow.h"
#include "kernels/codec/seed_search.h"
#include "kernels/codec/squared_norms.h"

namespace seedlm::backend {
namespace {

TEST_CASE("rows are widened and padded to whole blocks", "[weight_blocks]") {
  std::vector<uint16_t> half(2 * 10);
  for (size_t i = 0; i < half.size(); ++i) half[i] = codec::ToFloat16(static_cast<float>(i) + 0.5f);
  const WeightRows rows{WeightType::kF16, 2, 10, reinterpret_cast<const std::byte*>(half.data())};
  REQUIRE(LoadedSize(codec::k4bit, rows, 1) == 16);
  std::vector<float> blocks(16, 1.0f);
  REQUIRE(LoadBlocks(codec::k4bit, rows, 1, 1, blocks).ok());
  CHECK(blocks[0] == 10.5f);
  CHECK(blocks[9] == 19.5f);
  for (size_t i = 10; i < 16; ++i) CHECK(blocks[i] == 0.0f);
}

TEST_CASE("unaligned data is read", "[weight_blocks]") {
  std::vector<std::byte> bytes(1 + 8 * 4);
  const float weights[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  std::copy_n(reinterpret_cast<const std::byte*>(weights), sizeof weights, bytes.begin() + 1);
  std::vector<float> blocks(8);
  REQUIRE(LoadBlocks(codec::k4bit, {WeightType::kF32, 1, 8, bytes.data() + 1}, 0, 1, blocks).ok());
  CHECK(blocks == std::vector<float>(weights, weights + 8));
}

TEST_CASE("infinite weights are named by row and column", "[weight_blocks]") {
  std::vector<float> weights(30, 1.0f);
  weights[23] = -std::numeric_limits<float>::infinity();
  const WeightRows rows{WeightType::kF32, 3, 10, reinterpret_cast<const std::byte*>(weights.data()),
                        40};
  codec::NormHistogram histogram;
  const absl::Status refused = AddBlockNorms(codec::k4bit, rows, histogram);
  CHECK(refused.code() == absl::StatusCode::kInvalidArgument);
  CHECK(refused.message() == "row 42, column 3: weight is infinite");
}

TEST_CASE("the histogram counts nonzero blocks by their norm", "[weight_blocks]") {
  std::vector<float> weights(3 * 16, 0.0f);
  weights[0] = 2.0f;    // norm 2: bin 8
  weights[16] = -2.5f;  // norm 2.5: 8 log2(2.5) = 10.57
  const WeightRows rows{WeightType::kF32, 3, 16,
                        reinterpret_cast<const std::byte*>(weights.data())};
  codec::NormHistogram histogram;
  REQUIRE(AddBlockNorms(codec::k4bit, rows, histogram).ok());
  CHECK(histogram.count(8) == 1);
  CHECK(histogram.count(10) == 1);
  int64_t total = 0;
  for (int k = 0; k < codec::NormHistogram::kBins; ++k) {
    total += histogram.count(codec::NormHistogram::kFirstBin + k);
  }
  CHECK(total == 2);
}

TEST_CASE("a long row is added block by block", "[weight_blocks]") {
  constexpr int64_t kBlocks = 200;
  std::mt19937 bits(3);
  for (const codec::Profile& profile : codec::kProfiles) {
    std::vector<float> weights(static_cast<size_t>(2 * kBlocks * profile.block));
    // Norms of a few bins, so that not all blocks of a bin are kept.
    for (float& w : weights) w = static_cast<float>(bits() % 1000 + 1) * 1e-3f;
    const WeightRows rows{WeightType::kF32, 2, kBlocks * profile.block,
                          reinterpret_cast<const std::byte*>(weights.data()), 5};
    codec::NormHistogram histogram, one_by_one;
    REQUIRE(AddBlockNorms(profile, rows, histogram).ok());
    for (int64_t b = 0; b < 2 * kBlocks; ++b) {
      one_by_one.Add(profile, &weights[static_cast<size_t>(b * profile.block)], 5 * kBlocks + b);
    }
    size_t most = 0;
    for (int k = 0; k < codec::NormHistogram::kBins; ++k) {
      const int bin = codec::NormHistogram::kFirstBin + k;
      REQUIRE(histogram.count(bin) == one_by_one.count(bin));
      const auto& kept = histogram.kept(bin);
      const auto& expected = one_by_one.kept(bin);
      REQUIRE(kept.size() == expected.size());
      for (size_t i = 0; i < kept.size(); ++i) {
        REQUIRE(kept[i].hash == expected[i].hash);
        REQUIRE(kept[i].weights == expected[i].weights);
      }
      most = std::max(most, static_cast<size_t>(histogram.count(bin)));
    }
    CHECK(most > codec::NormHistogram::kKept);
  }
}

TEST_CASE("norms of many blocks have the bits of one block's", "[weight_blocks]") {
  std::mt19937 bits(4);
  for (const codec::Profile& profile : codec::kProfiles) {
    std::vector<float> weights(static_cast<size_t>(20 * profile.block));
    for (float& w : weights) {  // of all sizes
      w = std::ldexp(static_cast<float>(bits()) - 2e9f, static_cast<int>(bits() % 200) - 150);
    }
    for (int64_t count = 0; count <= 20; ++count) {
      std::vector<double> squared(static_cast<size_t>(count));
      codec::SquaredNorms(profile, weights.data(), count, squared.data());
      for (size_t i = 0; i < squared.size(); ++i) {
        const codec::BlockTask task =
            codec::MakeTask(profile, &weights[i * static_cast<size_t>(profile.block)]);
        REQUIRE(std::bit_cast<uint64_t>(squared[i]) == std::bit_cast<uint64_t>(task.squared_norm));
      }
    }
  }
}

TEST_CASE("bins of norms are exact at their borders", "[weight_blocks]") {
  for (int k = -40; k <= 40; ++k) {
    const double border = std::exp2(k / 4.0);  // the square of the norm 2^(k/8)
    const int at = codec::NormHistogram::BinOf(border * (1 + 1e-15));
    CHECK(at == k);
    CHECK(codec::NormHistogram::BinOf(border * (1 - 1e-15)) == k - 1);
  }
  CHECK(codec::NormHistogram::BinOf(5e-324) == codec::NormHistogram::kFirstBin);
  CHECK(codec::NormHistogram::BinOf(1.7e308) ==
        codec::NormHistogram::kFirstBin + codec::NormHistogram::kBins - 1);
}

}  // namespace
}  // namespace seedlm::backend
