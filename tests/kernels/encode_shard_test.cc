#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/level_design.h"
#include "kernels/cpu/backends.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::backend {
namespace {

struct Loss {
  double squared_error = 0;
  double squared_weights = 0;
  double max_error = 0;
};

// The loss of a shard as a reader of the compressed file finds it: what padding decodes to is not
// part of the tensor.
Loss LossOfDecoded(const EncodeSpec& spec, const std::vector<float>& weights, int64_t columns,
                   const EncodedShard& shard) {
  const int64_t per_row = spec.profile.blocks_per_row(columns);
  const int64_t level_bytes = codec::LevelRowBytes(spec.profile, per_row);
  Loss loss;
  for (int64_t row = 0; row < static_cast<int64_t>(weights.size()) / columns; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t block = column / spec.profile.block;
      const uint32_t level =
          level_bytes > 0 ? codec::GetLevelNibble(shard.levels.data() + row * level_bytes, block)
                          : 0;
      const uint32_t word = shard.words[static_cast<size_t>(row * per_row + block)];
      float decoded[codec::kMaxBlock];
      codec::DecodeBlock(spec.profile, codec::UnpackWord(spec.profile, word, level),
                         spec.levels.scale.data(), decoded);
      const double w = weights[static_cast<size_t>(row * columns + column)];
      const double error = w - double{decoded[column % spec.profile.block]};
      loss.squared_error += error * error;
      loss.squared_weights += w * w;
      loss.max_error = std::max(loss.max_error, std::abs(error));
    }
  }
  return loss;
}

TEST_CASE("the loss of a shard is that of its weights, not of the padding", "[encode_shard]") {
  const auto backend = *cpu::MakeSimdBackend();
  for (const codec::Profile& profile : codec::kProfiles) {
    const int64_t columns = 2 * profile.block + 3;
    const std::vector<float> weights =
        testing::MakeWeights(testing::Kind::kGaussian, static_cast<size_t>(5 * columns), 7);
    const WeightRows rows{WeightType::kF32, 5, columns,
                          reinterpret_cast<const std::byte*>(weights.data())};
    codec::NormHistogram histogram;
    REQUIRE(AddBlockNorms(profile, rows, histogram).ok());
    const EncodeSpec spec{profile, codec::Fit::kOptimal,
                          codec::DesignLevels(profile, codec::ScaleRule::kFitted, histogram)};
    const auto shard = backend->Encode(spec, rows, {});
    REQUIRE(shard.ok());
    const Loss expected = LossOfDecoded(spec, weights, columns, *shard);
    CAPTURE(profile.name);
    CHECK(expected.squared_error > 0);
    CHECK(shard->squared_error == Approx(expected.squared_error).epsilon(1e-12));
    CHECK(shard->squared_weights == Approx(expected.squared_weights).epsilon(1e-12));
    CHECK(shard->max_error == expected.max_error);
  }
}

}  // namespace
}  // namespace seedlm::backend
