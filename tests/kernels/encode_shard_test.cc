#include "kernels/cpu/encode_shard.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/level_design.h"
#include "kernels/codec/reference.h"
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

// Shards of several tensors, each with levels of its own.
struct Shards {
  std::vector<std::vector<float>> weights;
  std::vector<EncodeSpec> specs;
  std::vector<ShardTask> tasks;

  explicit Shards(const codec::Profile& profile) {
    const int64_t block = profile.block;
    const std::tuple<testing::Kind, int64_t, int64_t> shapes[] = {
        {testing::Kind::kGaussian, 3, 4 * block},
        {testing::Kind::kZero, 2, block + 1},
        {testing::Kind::kHeavyTailed, 0, 2 * block},
        {testing::Kind::kHeavyTailed, 1, 9 * block - 1},
        {testing::Kind::kGaussian, 4, 2 * block - 3},
        {testing::Kind::kTiny, 2, 3 * block},
        {testing::Kind::kSparse, 5, block},
    };
    for (const auto& [kind, rows, columns] : shapes) {
      weights.push_back(testing::MakeWeights(kind, static_cast<size_t>(rows * columns),
                                             static_cast<unsigned>(weights.size())));
      const float factor = 1 + static_cast<float>(weights.size());  // other levels for each
      for (float& w : weights.back()) w *= factor;
      const WeightRows shard{WeightType::kF32, rows, columns,
                             reinterpret_cast<const std::byte*>(weights.back().data())};
      codec::NormHistogram histogram;
      REQUIRE(AddBlockNorms(profile, shard, histogram).ok());
      // So many to come that every list pays.
      specs.push_back({profile, codec::Fit::kOptimal,
                       codec::DesignLevels(profile, codec::ScaleRule::kFitted, histogram),
                       int64_t{1} << 40});
      tasks.push_back({nullptr, shard});
    }
    for (size_t i = 0; i < tasks.size(); ++i) tasks[i].spec = &specs[i];
  }
};

void CheckSame(const EncodedShard& got, const EncodedShard& expected) {
  CHECK(got.words == expected.words);
  CHECK(got.levels == expected.levels);
  CHECK(got.squared_error == expected.squared_error);
  CHECK(got.squared_weights == expected.squared_weights);
  CHECK(got.max_error == expected.max_error);
}

TEST_CASE("shards of one call get the bytes that each gets alone", "[encode_shard]") {
  const codec::Profile& profile = GENERATE(from_range(codec::kProfiles));
  // All lists; memory for some of them only, so that blocks of many shards are left to the scan;
  // none.
  const int64_t memory = GENERATE(int64_t{1} << 30, int64_t{5} << 20, 0);
  CAPTURE(profile.name, memory);
  const Shards shards(profile);
  const auto backend = *cpu::MakeSimdBackend("", std::make_shared<search::IndexStore>(memory));
  const Backend::Results together = backend->EncodeAll(shards.tasks, {});
  REQUIRE(together.size() == shards.tasks.size());
  const auto reference = cpu::MakeReferenceBackend();
  for (size_t i = 0; i < shards.tasks.size(); ++i) {
    CAPTURE(i);
    const auto& [spec, weights] = shards.tasks[i];
    REQUIRE(together[i].ok());
    CheckSame(*together[i], *backend->Encode(*spec, weights, {}));
    CheckSame(*together[i], *reference->Encode(*spec, weights, {}));
  }
  CHECK(backend->EncodeAll({}, {}).empty());
}

TEST_CASE("only a search through cells wants many blocks together", "[encode_shard]") {
  const auto together = [](int64_t memory, const codec::Profile& profile) {
    return (*cpu::MakeSimdBackend("", std::make_shared<search::IndexStore>(memory)))
        ->BlocksTogether(profile);
  };
  CHECK(together(int64_t{1} << 30, codec::k4bit) > 500'000);
  CHECK(together(int64_t{1} << 30, codec::k3bit) > 500'000);
  CHECK(together(int64_t{1} << 30, codec::k2bit) < 10'000);  // has no cells
  CHECK(together(0, codec::k4bit) < 10'000);
  CHECK((*cpu::MakeSimdBackend())->BlocksTogether(codec::k4bit) < 10'000);
  CHECK(cpu::MakeReferenceBackend()->BlocksTogether(codec::k4bit) == 1);
}

TEST_CASE("batches of any size are cut and put together again", "[encode_shard]") {
  const Shards shards(codec::k4bit);
  const auto whole = cpu::MakeReferenceBackend()->EncodeAll(shards.tasks, {});
  const codec::ReferenceEncoder encoder(codec::k4bit);
  for (const auto& [batch_blocks, expected_batches] :
       {std::pair{1, 17}, {9, 6}, {16, 3}, {1000, 1}}) {
    CAPTURE(batch_blocks);
    int batches = 0;
    const auto cut = cpu::EncodeShards(
        shards.tasks, batch_blocks, {},
        [&](const cpu::Batch& batch, std::span<const cpu::Section> sections, const auto&) {
          ++batches;
          int64_t before = -1;
          for (const auto& [spec, places] : sections) {
            CHECK_FALSE(places.empty());
            for (const uint32_t place : places) {
              CHECK(place > before);
              before = place;
              batch.best[place] =
                  encoder.Search(spec->fit, spec->levels, batch.weights + size_t{8} * place);
            }
          }
          return absl::OkStatus();
        });
    // 12, 4, 0, 9, 8, 6 and 5 blocks in rows of 4, 2, -, 9, 2, 3 and 1.
    CHECK(batches == expected_batches);
    for (size_t i = 0; i < whole.size(); ++i) CheckSame(*cut[i], *whole[i]);
  }
}

TEST_CASE("a shard that cannot be encoded does not hold up the others", "[encode_shard]") {
  Shards shards(codec::k4bit);
  const auto backend = *cpu::MakeSimdBackend();
  const auto expected = backend->EncodeAll(shards.tasks, {});
  shards.weights[4][15] = std::numeric_limits<float>::quiet_NaN();
  const auto got = backend->EncodeAll(shards.tasks, {});
  for (size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    if (i == 4) {
      CHECK(got[i].status() == absl::InvalidArgumentError("row 1, column 2: weight is NaN"));
    } else {
      CheckSame(*got[i], *expected[i]);
    }
  }
}

TEST_CASE("what stops a batch stops the shards in it and behind it", "[encode_shard]") {
  const Shards shards(codec::k4bit);
  int batches = 0;
  const auto results =
      cpu::EncodeShards(shards.tasks, 16, {}, [&](const auto&, const auto&, const auto&) {
        return ++batches == 2 ? absl::CancelledError("stopped") : absl::OkStatus();
      });
  CHECK(batches == 2);
  CHECK(results[0].ok());  // 12 blocks, and the next shard's 4
  CHECK(results[1].ok());
  for (size_t i = 3; i < results.size(); ++i) {
    CHECK(results[i].status() == absl::CancelledError("stopped"));
  }
}

}  // namespace
}  // namespace seedlm::backend
