#include "kernels/codec/seed_search.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/codec/reference.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::codec {
namespace {

std::vector<float> Gaussian(size_t count, float sigma, unsigned seed) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal(0, sigma);
  std::vector<float> values(count);
  for (float& v : values) v = normal(bits);
  return values;
}

TEST_CASE("the factor is orthonormal and reproduces every basis", "[seed_search]") {
  for (const Profile& profile : kProfiles) {
    double worst_dot = 0, worst_product = 0;
    for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
      const Basis basis = MakeBasis(profile, seed);
      const Factor f = FactorBasis(profile, basis);
      for (int i = 0; i < profile.rank; ++i) {
        for (int j = 0; j <= i; ++j) {
          double dot = 0;
          for (int c = 0; c < profile.block; ++c) dot += f.q[c][i] * f.q[c][j];
          const double expected = i == j && f.r[i][i] > 0 ? 1 : 0;  // a dependent column is zero
          worst_dot = std::max(worst_dot, std::abs(dot - expected));
        }
        for (int c = 0; c < profile.block; ++c) {
          double product = 0;
          for (int j = 0; j <= i; ++j) product += f.q[c][j] * f.r[j][i];
          worst_product = std::max(worst_product, std::abs(product - basis.at[c][i]));
        }
      }
    }
    CAPTURE(profile.name);
    CHECK(worst_dot < 1e-13);
    CHECK(worst_product < 1e-9);
  }
}

TEST_CASE("a decoded block is encoded again without error", "[seed_search]") {
  std::mt19937 bits(3);
  for (const Profile& profile : kProfiles) {
    const ReferenceEncoder encoder(profile);
    for (const LevelTable& levels : {PaperLevels(profile), Pow2Levels(profile, -10)}) {
      for (int i = 0; i < 10; ++i) {
        const uint32_t remainder =
            bits() & ((1u << (kCoefficientBits * profile.rank + kLevelBits)) - 1);
        const BlockCode code = FromSeedAndRemainder(profile, 1 + bits() % 65535, remainder);
        float weights[kMaxBlock];
        DecodeBlock(profile, code, levels.scale.data(), weights);
        const EncodedBlock again = encoder.Encode(Fit::kOptimal, levels, weights);
        CHECK(again.error == 0);
        CHECK(again.code.seed <= code.seed);  // codes that decode alike: the least seed wins
        float back[kMaxBlock];
        DecodeBlock(profile, again.code, levels.scale.data(), back);
        for (int c = 0; c < profile.block; ++c) CHECK(back[c] == weights[c]);
      }
    }
  }
}

TEST_CASE("ties go to the least seed, then to the least remaining code", "[seed_search]") {
  // q = (0, a, b) of a seed and (a, b, 0) of the next state decode to the same weights.
  uint32_t seed = 40000;
  while (NextState(seed, 16) > seed) ++seed;
  const uint32_t next = NextState(seed, 16);
  const ReferenceEncoder encoder(k4bit);
  const LevelTable levels = PaperLevels(k4bit);
  BlockCode code;
  code.seed = static_cast<uint16_t>(seed);
  code.q[1] = 3;
  code.q[2] = -5;
  float weights[kMaxBlock];
  DecodeBlock(k4bit, code, levels.scale.data(), weights);
  const EncodedBlock tie = encoder.Encode(Fit::kOptimal, levels, weights);
  CHECK(tie.error == 0);
  CHECK(tie.code.seed == next);
  CHECK(tie.code.q[0] == 3);

  // q on a level equals 2q on the level below: level 0 with 2q is the lesser code than level 1.
  code.seed = 1;
  code.level = 1;
  code.q[0] = 1;
  code.q[1] = 2;
  code.q[2] = 3;
  DecodeBlock(k4bit, code, levels.scale.data(), weights);
  const EncodedBlock lower = encoder.Encode(Fit::kOptimal, levels, weights);
  CHECK(lower.code.seed == 1);
  CHECK(lower.code.level == 0);
  CHECK(lower.code.q[2] == 6);

  const std::vector<float> zeros(16, 0.0f);
  for (const Profile& profile : kProfiles) {
    const EncodedBlock zero =
        ReferenceEncoder(profile).Encode(Fit::kOptimal, PaperLevels(profile), zeros.data());
    CHECK(zero.code.seed == 1);
    CHECK(Remainder(profile, zero.code) == 0);
  }
}

TEST_CASE("whether a code is the best of its seed is what the search of the seed says") {
  std::mt19937 bits(5);
  for (const Profile& profile : kProfiles) {
    for (const testing::Kind kind : testing::kKinds) {
      CAPTURE(profile.name, testing::Name(kind));
      const auto weights =
          testing::MakeWeights(kind, static_cast<size_t>(6 * profile.block), bits());
      const LevelTable levels = Pow2Levels(profile, -10);
      for (int i = 0; i < 6; ++i) {
        const BlockTask task = MakeTask(profile, &weights[static_cast<size_t>(i * profile.block)]);
        const uint32_t seed = 1 + bits() % profile.seed_count();
        const Basis basis = MakeBasis(profile, seed);
        Candidate best{HUGE_VAL, 0xFFFFFFFFu, 0xFFFFFFFFu};  // that of the seed, whatever it is
        EvaluateSeed(profile, Fit::kOptimal, task, levels, seed, best);
        REQUIRE(best.seed == seed);
        CHECK(IsBestOfSeed(profile, task, levels, basis, best));
        // Others: near the best, and anywhere.
        for (int k = 0; k < 4; ++k) {
          const uint32_t mask = (1u << (kCoefficientBits * profile.rank + kLevelBits)) - 1;
          const uint32_t remainder =
              (k < 2 ? best.remainder ^ (1u << (bits() % 16)) : bits()) & mask;
          const BlockCode code = FromSeedAndRemainder(profile, seed, remainder);
          const Candidate other{
              BlockError(profile, task.weights, basis, code.q, levels.scale[code.level]), seed,
              Remainder(profile, code)};
          CHECK(IsBestOfSeed(profile, task, levels, basis, other) == !Better(best, other));
        }
      }
    }
  }
}

TEST_CASE("optimal is never worse than nearest on the same levels", "[seed_search]") {
  for (const Profile& profile : kProfiles) {
    const ReferenceEncoder encoder(profile);
    const std::vector<float> weights = Gaussian(static_cast<size_t>(20 * profile.block), 0.02f, 4);
    const LevelTable levels = Pow2Levels(profile, -10);
    for (int i = 0; i < 20; ++i) {
      const float* block = &weights[static_cast<size_t>(i * profile.block)];
      const double optimal = encoder.Encode(Fit::kOptimal, levels, block).error;
      const double nearest = encoder.Encode(Fit::kNearest, levels, block).error;
      CHECK(optimal <= nearest);
      CHECK(optimal <= MakeTask(profile, block).squared_norm);
    }
  }
}

}  // namespace
}  // namespace seedlm::codec
