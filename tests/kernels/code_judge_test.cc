// Judging with the kernels of the search against the codec's exact routine.
#include "kernels/cpu/code_judge.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/codec/seed_search.h"
#include "kernels/search/seed_table.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::cpu {
namespace {

using testing::Kind;

// Blocks with their codes.
struct Sample {
  backend::EncodeSpec spec;
  std::vector<codec::BlockCode> codes;
  std::vector<float> weights;

  void Add(const std::vector<float>& block, const codec::BlockCode& code) {
    codes.push_back(code);
    weights.insert(weights.end(), block.begin(), block.end());
  }
  backend::CodedBlocks blocks() const { return {&spec, codes, weights.data()}; }
};

// The best code of a seed, or the zero code.
codec::BlockCode BestCode(const backend::EncodeSpec& spec, const std::vector<float>& block,
                          uint32_t seed) {
  const codec::BlockTask task = codec::MakeTask(spec.profile, block.data());
  codec::Candidate best = codec::InitialCandidate(spec.fit, task);
  codec::EvaluateSeed(spec.profile, spec.fit, task, spec.levels, seed, best);
  return codec::FromSeedAndRemainder(spec.profile, best.seed, best.remainder);
}

// Levels around the blocks, far below and far above them.
codec::LevelTable MakeLevels(const backend::EncodeSpec& spec, double norm, int variant) {
  constexpr int kOctaves[] = {0, -40, -8, 8};
  const int bias = static_cast<int>(std::floor(std::log2(norm))) + kOctaves[variant % 4];
  codec::LevelTable levels = codec::Pow2Levels(spec.profile, std::clamp(bias - 2, -100, 100));
  if (spec.fit == codec::Fit::kNearest) return levels;
  levels.rule = codec::ScaleRule::kFitted;
  for (int i = 0; i < codec::kLevels; ++i) {
    const double level = std::exp2((i - 10) * 0.25 + kOctaves[variant % 4]) * norm;
    levels.scale[static_cast<size_t>(i)] = static_cast<float>(
        std::max(level / spec.profile.unit(), std::exp2(codec::kMinLevelExponent)));
  }
  return levels;
}

// For a few seeds, sound ones and others: the best code, that with one bit changed, the zero code.
Sample MakeSample(const codec::Profile& profile, codec::Fit fit, Kind kind, int variant,
                  std::mt19937& bits) {
  Sample sample;
  sample.spec.profile = profile;
  sample.spec.fit = fit;
  sample.spec.levels = codec::Pow2Levels(profile, 0);
  const auto width = static_cast<size_t>(profile.block);
  const search::SeedTable& seeds = search::SeedTable::For(profile);
  bool has_levels = false;
  for (int i = 0; i < 4; ++i) {
    const std::vector<float> block = testing::MakeWeights(kind, width, bits());
    const double norm =
        std::sqrt(codec::MakeTask(profile, block.data()).squared_norm / profile.block);
    if (!has_levels && norm > 0) {
      sample.spec.levels = MakeLevels(sample.spec, norm, variant);
      has_levels = true;
    }
    uint32_t seed = 1 + bits() % profile.seed_count();
    while (i % 3 == 0 && seeds.sound(seed)) seed = 1 + bits() % profile.seed_count();
    const codec::BlockCode best = BestCode(sample.spec, block, seed);
    const uint32_t remainder = codec::Remainder(profile, best);
    const auto flipped = 1u << bits() % static_cast<uint32_t>(4 * profile.rank + 4);
    sample.Add(block, best);
    sample.Add(block, codec::FromSeedAndRemainder(profile, best.seed, remainder ^ flipped));
    sample.Add(block,
               codec::FromSeedAndRemainder(profile, 1 + bits() % profile.seed_count(), remainder));
    sample.Add(block, codec::BlockCode{});
  }
  return sample;
}

TEST_CASE("judging finds what the exact routine finds") {
  std::mt19937 bits(12);
  size_t own = 0, foreign = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    for (const auto fit : {codec::Fit::kOptimal, codec::Fit::kNearest}) {
      for (const Kind kind : testing::kKinds) {
        for (int variant = 0; variant < 4; ++variant) {
          const Sample sample = MakeSample(profile, fit, kind, variant, bits);
          const auto expected = backend::FindForeignCodes(sample.blocks());
          foreign += expected.size();
          own += sample.codes.size() - expected.size();
          for (const std::string& target : SupportedTargets()) {
            CAPTURE(profile.name, codec::Name(fit), testing::Name(kind), variant, target);
            CHECK(FindForeign(KernelsFor(target), sample.blocks()) == expected);
          }
        }
      }
    }
  }
  CHECK(own > 1000);
  CHECK(foreign > 1000);
}

TEST_CASE("no blocks: none is foreign") {
  const backend::EncodeSpec spec;
  CHECK(FindForeign(KernelsFor(SupportedTargets().front()), {&spec, {}, nullptr}).empty());
}

}  // namespace
}  // namespace seedlm::cpu
