// The SIMD finishing against the codec's exact routine.
#include "kernels/cpu/finish.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "kernels/codec/level_design.h"
#include "kernels/cpu/search_kernels.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::cpu {
namespace {

using codec::Candidate;
using testing::Kind;

// Levels from far below the block to far above it, or the powers of two around it.
codec::LevelTable MakeLevels(const codec::Profile& profile, double norm, int variant) {
  const int bias = static_cast<int>(std::floor(std::log2(norm)));
  codec::LevelTable table = codec::Pow2Levels(profile, std::clamp(bias - 2, -100, 100));
  if (variant == 0) return table;
  table.rule = codec::ScaleRule::kFitted;
  for (int i = 0; i < codec::kLevels; ++i) {
    const double octaves = variant == 1 ? (i - 10) * 0.25 : (i - 8) * 4.0;
    table.scale[static_cast<size_t>(i)] =
        static_cast<float>(std::exp2(octaves) * norm / profile.unit());
  }
  return table;
}

TEST_CASE("finishing finds what the exact routine finds") {
  std::vector<std::pair<std::string, SearchKernels>> targets;
  for (const std::string& name : SupportedTargets()) targets.emplace_back(name, KernelsFor(name));
  std::mt19937 bits(5);
  int unsound = 0, improved = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    const search::SeedTable& seeds = search::SeedTable::For(profile);
    std::vector<uint32_t> ill;
    for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
      if (!seeds.sound(seed)) ill.push_back(seed);
    }
    for (const Kind kind : {Kind::kGaussian, Kind::kHeavyTailed, Kind::kSparse, Kind::kConstant}) {
      for (int trial = 0; trial < 12; ++trial) {
        const std::vector<float> weights =
            testing::MakeWeights(kind, static_cast<size_t>(profile.block), bits());
        const codec::BlockTask block = codec::MakeTask(profile, weights.data());
        if (!(block.squared_norm > 0)) continue;
        const codec::LevelTable levels =
            MakeLevels(profile, std::sqrt(block.squared_norm / profile.block), trial % 3);
        std::vector<uint32_t> list;
        for (int i = 0; i < 40; ++i) list.push_back(1 + bits() % profile.seed_count());
        for (int i = 0; i < 3; ++i) list.push_back(ill[bits() % ill.size()]);
        unsound += 3;
        Candidate expected = codec::InitialCandidate(codec::Fit::kOptimal, block);
        for (const uint32_t seed : list) {
          codec::EvaluateSeed(profile, codec::Fit::kOptimal, block, levels, seed, expected);
        }
        improved += expected.remainder != 0;
        for (const auto& [name, kernels] : targets) {
          CAPTURE(name, profile.name, testing::Name(kind), trial);
          Candidate got = codec::InitialCandidate(codec::Fit::kOptimal, block);
          FinishTask task;
          kernels.prepare(profile, levels, seeds, weights.data(), task);
          CHECK(task.block.squared_norm == block.squared_norm);
          kernels.finish(task, list.data(), static_cast<int>(list.size()), got);
          CHECK(got.error == expected.error);
          CHECK(got.seed == expected.seed);
          CHECK(got.remainder == expected.remainder);
        }
      }
    }
  }
  CHECK(unsound > 100);
  CHECK(improved > 100);
}

}  // namespace
}  // namespace seedlm::cpu
