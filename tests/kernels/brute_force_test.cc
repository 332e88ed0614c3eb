// The search against every code there is, for short registers.
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "kernels/codec/reference.h"

namespace seedlm::codec {
namespace {

Candidate BruteForce(const Profile& profile, const LevelTable& levels, const float* weights) {
  Candidate best{HUGE_VAL, 0, 0};
  const uint32_t codes = 1u << (kCoefficientBits * profile.rank + kLevelBits);
  for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
    const Basis basis = MakeBasis(profile, seed);
    for (uint32_t remainder = 0; remainder < codes; ++remainder) {
      const BlockCode code = FromSeedAndRemainder(profile, seed, remainder);
      const Candidate candidate{
          BlockError(profile, weights, basis, code.q, levels.scale[code.level]), seed, remainder};
      if (Better(candidate, best)) best = candidate;
    }
  }
  return best;
}

std::vector<float> Block(const Profile& profile, int kind, std::mt19937& bits) {
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> weights(static_cast<size_t>(profile.block));
  const float sigmas[] = {0.05f, 1.0f, 40.0f, 1e-3f, 1e-20f, 1e6f};
  for (float& w : weights) w = normal(bits) * sigmas[kind % 6];
  if (kind % 7 == 6) std::fill(weights.begin(), weights.end(), 0.25f);
  return weights;
}

void Compare(const ReferenceEncoder& encoder, const Profile& profile, const LevelTable& levels,
             const std::vector<float>& weights) {
  const Candidate expected = BruteForce(profile, levels, weights.data());
  const Candidate got = encoder.Search(Fit::kOptimal, levels, weights.data());
  CAPTURE(profile.name, weights, expected.error, got.error);
  CHECK(got.seed == expected.seed);
  CHECK(got.remainder == expected.remainder);
  CHECK(got.error == expected.error);
}

void CompareSome(const Profile& profile, int blocks) {
  const ReferenceEncoder encoder(profile);
  LevelTable uneven;  // fitted tables are uneven and ascending
  for (int i = 0; i < kLevels; ++i) {
    uneven.scale[static_cast<size_t>(i)] = LevelAt(-40 + i * (i < 9 ? 2 : 5), profile.unit());
  }
  std::mt19937 bits(5);
  for (int i = 0; i < blocks; ++i) {
    std::vector<float> weights = Block(profile, i, bits);
    const LevelTable levels = i % 2 == 0 ? uneven : Pow2Levels(profile, -3);
    if (i % 5 == 4) {  // a block that decodes exactly, where ties abound
      DecodeBlock(profile,
                  FromSeedAndRemainder(profile, 1 + bits() % profile.seed_count(), bits() & 0xFFF),
                  levels.scale.data(), weights.data());
    }
    Compare(encoder, profile, levels, weights);
  }
}

// Blocks so far above the levels that the objective takes a few values only, until the zero code
// is as good as any: whole ones, and such with one large weight among small ones or zeros.
void CompareFar(const Profile& profile, int octave_step) {
  const ReferenceEncoder encoder(profile);
  const LevelTable levels = Pow2Levels(profile, 0);
  std::mt19937 bits(6);
  std::normal_distribution<float> normal(0, 1);
  for (int octaves = 34; octaves <= 66; octaves += octave_step) {
    std::vector<float> whole(static_cast<size_t>(profile.block));
    for (float& w : whole) w = std::ldexp(normal(bits), octaves);
    Compare(encoder, profile, levels, whole);
    std::vector<float> outlier = whole;
    for (float& w : outlier) w = octaves % 4 == 0 ? 0 : std::ldexp(w, -octaves);
    outlier[bits() % outlier.size()] = whole[0];
    Compare(encoder, profile, levels, outlier);
  }
}

TEST_CASE("the search finds what brute force finds", "[brute_force]") {
  CompareSome({"K = 8, 4 x 2", 4, 2, 8}, 60);
  CompareSome({"K = 8, 8 x 3", 8, 3, 8}, 7);
  CompareSome({"K = 4, 12 x 4", 12, 4, 4}, 7);
  CompareSome({"K = 2, 8 x 4", 8, 4, 2}, 14);  // bases with dependent columns
}

TEST_CASE("the search finds what brute force finds far above the levels", "[brute_force]") {
  CompareFar({"K = 8, 4 x 2", 4, 2, 8}, 1);
  CompareFar({"K = 8, 8 x 3", 8, 3, 8}, 15);
  CompareFar({"K = 4, 12 x 4", 12, 4, 4}, 15);
  CompareFar({"K = 2, 8 x 4", 8, 4, 2}, 3);
}

}  // namespace
}  // namespace seedlm::codec
