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

// Compares the finishing of every instruction set with the exact routine, whose result is returned.
Candidate CheckFinishing(const codec::Profile& profile, const codec::LevelTable& levels,
                         const codec::BlockTask& block, const std::vector<uint32_t>& list) {
  Candidate expected = codec::InitialCandidate(codec::Fit::kOptimal, block);
  for (const uint32_t seed : list) {
    codec::EvaluateSeed(profile, codec::Fit::kOptimal, block, levels, seed, expected);
  }
  for (const std::string& name : SupportedTargets()) {
    const SearchKernels kernels = KernelsFor(name);
    CAPTURE(name, profile.name);
    Candidate got = codec::InitialCandidate(codec::Fit::kOptimal, block);
    FinishTask task;
    kernels.prepare(profile, levels, search::SeedTable::For(profile), block.weights, task);
    CHECK(task.block.squared_norm == block.squared_norm);
    kernels.finish(task, list.data(), static_cast<int>(list.size()), got);
    CHECK(got.error == expected.error);
    CHECK(got.seed == expected.seed);
    CHECK(got.remainder == expected.remainder);
  }
  return expected;
}

TEST_CASE("finishing finds what the exact routine finds") {
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
        CAPTURE(testing::Name(kind), trial);
        improved += CheckFinishing(profile, levels, block, list).remainder != 0;
      }
    }
  }
  CHECK(unsound > 100);
  CHECK(improved > 100);
}

// Blocks whose real solution for a seed lies between two values of each coefficient, at and beyond
// the ends of their range; levels that come twice. Codes differ by rounding then, or not at all.
TEST_CASE("finishing finds the code at ties and at the ends of the range") {
  std::mt19937 bits(6);
  int at_an_end = 0, twice = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    for (int trial = 0; trial < 300; ++trial) {
      const uint32_t seed = 1 + bits() % profile.seed_count();
      const codec::Basis basis = codec::MakeBasis(profile, seed);
      codec::LevelTable levels = MakeLevels(profile, 1.0, 1);
      for (size_t i = 0; trial % 3 == 0 && i < codec::kLevels; i += 2) {
        levels.scale[i + 1] = levels.scale[i];
      }
      const float scale = levels.scale[bits() % codec::kLevels];
      double t[codec::kMaxRank];
      for (int p = 0; p < profile.rank; ++p) {
        t[p] = static_cast<int>(bits() % 20) - 10 + (bits() % 4 == 0 ? 0.0 : 0.5);
      }
      std::vector<float> weights(static_cast<size_t>(profile.block));
      for (int c = 0; c < profile.block; ++c) {
        double sum = 0;
        for (int p = 0; p < profile.rank; ++p) sum += basis.at[c][p] * t[p];
        weights[static_cast<size_t>(c)] = static_cast<float>(sum * scale);
      }
      const codec::BlockTask block = codec::MakeTask(profile, weights.data());
      if (!(block.squared_norm > 0)) continue;
      std::vector<uint32_t> list{seed};
      for (int i = 0; i < 4; ++i) list.push_back(1 + bits() % profile.seed_count());
      if (trial % 2 == 0) std::swap(list.front(), list.back());
      CAPTURE(trial);
      const Candidate best = CheckFinishing(profile, levels, block, list);
      const codec::BlockCode code = codec::FromSeedAndRemainder(profile, best.seed, best.remainder);
      at_an_end += code.q[0] == codec::kMinCoefficient || code.q[0] == codec::kMaxCoefficient;
      twice += trial % 3 == 0 && code.level % 2 == 0;
    }
  }
  CHECK(at_an_end > 100);
  CHECK(twice > 100);
}

}  // namespace
}  // namespace seedlm::cpu
