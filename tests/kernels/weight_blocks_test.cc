#include "kernels/backend/weight_blocks.h"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "kernels/codec/narrow.h"

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

}  // namespace
}  // namespace seedlm::backend
