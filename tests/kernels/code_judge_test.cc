// Judging with the kernels of the search against the codec's exact routine.
#include "kernels/cpu/code_judge.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/codec/seed_search.h"
#include "kernels/cpu/exhaustive_search.h"
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

// Where levels lie beside a block of that norm a weight: around it; where most codes are too short,
// so that the kernels still judge, or just not any more; far below; far above; over more octaves
// than float32 has bits for; two and two alike.
enum class Place { kAround, kShort, kShorter, kTooShort, kFarBelow, kFarAbove, kSpread, kTwice };
constexpr Place kPlaces[] = {Place::kAround,   Place::kShort,    Place::kShorter, Place::kTooShort,
                             Place::kFarBelow, Place::kFarAbove, Place::kSpread,  Place::kTwice};

codec::LevelTable MakeLevels(const backend::EncodeSpec& spec, double norm, Place place) {
  constexpr double kOctaves[] = {0, -3, -4, -6, -40, 8, 0, 0};
  const double octaves = kOctaves[static_cast<int>(place)];
  const int bias = static_cast<int>(std::floor(std::log2(norm) + octaves));
  codec::LevelTable levels = codec::Pow2Levels(spec.profile, std::clamp(bias - 2, -100, 100));
  if (spec.fit == codec::Fit::kNearest) return levels;
  levels.rule = codec::ScaleRule::kFitted;
  for (int i = 0; i < codec::kLevels; ++i) {
    const int step = place == Place::kTwice ? i / 2 * 2 : i;
    const double by = place == Place::kSpread ? (step - 8) * 7.0 : (step - 10) * 0.25;
    const double level = std::exp2(by + octaves) * norm / spec.profile.unit();
    levels.scale[static_cast<size_t>(i)] =
        static_cast<float>(std::clamp(level, std::exp2(codec::kMinLevelExponent), std::exp2(100)));
  }
  return levels;
}

// For a few seeds, sound ones and others: the best code, that with one bit changed, the zero code.
Sample MakeSample(const codec::Profile& profile, codec::Fit fit, Kind kind, Place place,
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
      sample.spec.levels = MakeLevels(sample.spec, norm, place);
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

// Whether the kernels judge it, and not the exact routine itself.
bool IsForKernels(const backend::EncodeSpec& spec, const float* block) {
  const double squared = codec::MakeTask(spec.profile, block).squared_norm;
  return squared > 0 && std::sqrt(squared) <= LargestScannedNorm(spec);
}

// How many of them the kernels judged, by what they are.
struct Judged {
  int own = 0, foreign = 0;
};

void CheckSample(const Sample& sample, Judged& judged) {
  const std::vector<size_t> expected = backend::FindForeignCodes(sample.blocks());
  const auto width = static_cast<size_t>(sample.spec.profile.block);
  for (size_t i = 0; i < sample.codes.size(); ++i) {
    if (!IsForKernels(sample.spec, &sample.weights[i * width])) continue;
    ++(std::binary_search(expected.begin(), expected.end(), i) ? judged.foreign : judged.own);
  }
  for (const std::string& target : SupportedTargets()) {
    CAPTURE(target);
    CHECK(FindForeign(KernelsFor(target), sample.blocks()) == expected);
  }
}

TEST_CASE("judging finds what the exact routine finds") {
  std::mt19937 bits(12);
  for (const codec::Profile& profile : codec::kProfiles) {
    Judged judged;
    for (const Kind kind : testing::kKinds) {
      for (const Place place : kPlaces) {
        CAPTURE(profile.name, testing::Name(kind), static_cast<int>(place));
        CheckSample(MakeSample(profile, codec::Fit::kOptimal, kind, place, bits), judged);
      }
    }
    CHECK(judged.own > 150);
    CHECK(judged.foreign > 150);
  }
}

TEST_CASE("judging nearest codes") {
  std::mt19937 bits(13);
  const Sample sample =
      MakeSample(codec::k4bit, codec::Fit::kNearest, Kind::kGaussian, Place::kAround, bits);
  const auto expected = backend::FindForeignCodes(sample.blocks());
  CHECK_FALSE(expected.empty());
  CHECK(FindForeign(KernelsFor(SupportedTargets().front()), sample.blocks()) == expected);
}

TEST_CASE("no blocks: none is foreign") {
  const backend::EncodeSpec spec;
  CHECK(FindForeign(KernelsFor(SupportedTargets().front()), {&spec, {}, nullptr}).empty());
}

}  // namespace
}  // namespace seedlm::cpu
