// Blocks where the least slip shows: ties, the borders between two levels, the ends of the table.
// Every SIMD target against the reference backend, on one thread and on two; and a stop in the
// middle of work that would take hours.
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/codec/basis.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/levels.h"
#include "kernels/codec/lfsr.h"
#include "kernels/cpu/backends.h"
#include "tests/kernels/test_weights.h"

namespace seedlm {
namespace {

using backend::EncodedShard;
using backend::EncodeSpec;
using backend::WeightRows;
using codec::Fit;
using codec::LevelTable;
using codec::Profile;

enum class Edge { kSeedTie, kLevelTie, kBetweenLevels, kLowestHalf, kBelowLowest, kTop, kAboveTop };
constexpr Edge kEdges[] = {Edge::kSeedTie,    Edge::kLevelTie,    Edge::kBetweenLevels,
                           Edge::kLowestHalf, Edge::kBelowLowest, Edge::kTop,
                           Edge::kAboveTop};

// The largest and the smallest level, by value: a table of powers of two starts in its middle.
int Extreme(const LevelTable& levels, bool largest) {
  const auto begin = levels.scale.begin(), end = levels.scale.end();
  return static_cast<int>((largest ? std::max_element(begin, end) : std::min_element(begin, end)) -
                          begin);
}

// The level next above `level` by value. REQUIRES: there is one.
int NextAbove(const LevelTable& levels, int level) {
  int found = -1;
  for (int i = 0; i < codec::kLevels; ++i) {
    if (levels.scale[i] <= levels.scale[level]) continue;
    if (found < 0 || levels.scale[i] < levels.scale[found]) found = i;
  }
  return found;
}

// One block, C weights, appended.
void AppendEdge(const Profile& profile, const LevelTable& levels, Edge edge, std::mt19937& bits,
                std::vector<float>& weights) {
  codec::BlockCode code;
  code.seed = static_cast<uint16_t>(1 + bits() % profile.seed_count());
  const int lowest = Extreme(levels, false), top = Extreme(levels, true);
  code.level = static_cast<uint8_t>(NextAbove(levels, lowest));
  for (int p = 0; p < profile.rank; ++p) {
    code.q[p] = static_cast<int8_t>(static_cast<int>(bits() % 16) - 8);
  }
  double factor = 1;
  switch (edge) {
    case Edge::kSeedTie:  // column p of a seed is column p - 1 of the next one
      code.q[0] = 0;
      break;
    case Edge::kLevelTie:  // q and the next level, where levels double
      for (int8_t& q : code.q) q = static_cast<int8_t>(q / 2);
      break;
    case Edge::kBetweenLevels:
      factor =
          (1 + double{levels.scale[NextAbove(levels, code.level)]} / levels.scale[code.level]) / 2;
      break;
    case Edge::kLowestHalf:  // as far from zero as from the smallest code
      for (int8_t& q : code.q) q = 0;
      code.q[bits() % profile.rank] = 1;
      code.level = static_cast<uint8_t>(lowest);
      factor = 0.5;
      break;
    case Edge::kBelowLowest:
      code.level = static_cast<uint8_t>(lowest);
      factor = 0.3;
      break;
    case Edge::kTop:
      for (int8_t& q : code.q) q = bits() % 2 == 0 ? 7 : -8;
      code.level = static_cast<uint8_t>(top);
      break;
    case Edge::kAboveTop:
      for (int8_t& q : code.q) q = bits() % 2 == 0 ? 7 : -8;
      code.level = static_cast<uint8_t>(top);
      factor = 1.2;
      break;
  }
  for (int p = profile.rank; p < codec::kMaxRank; ++p) code.q[p] = 0;
  float block[codec::kMaxBlock];
  codec::DecodeBlock(profile, code, levels.scale.data(), block);
  const int nudge = static_cast<int>(bits() % 3);  // the edge itself, and just beside it
  for (int c = 0; c < profile.block; ++c) {
    float w = static_cast<float>(block[c] * factor);
    if (nudge != 0 && c == 0) w = std::nextafter(w, nudge == 1 ? 2 * w : 0.0f);
    weights.push_back(w);
  }
}

EncodedShard EncodePart(const backend::Backend& backend, const EncodeSpec& spec, WeightRows rows,
                        int64_t first, int64_t count) {
  rows.data += first * rows.columns * backend::ByteWidth(rows.type);
  rows.rows = count;
  auto shard = backend.Encode(spec, rows, {});
  return shard.ok() ? *std::move(shard) : EncodedShard{};
}

std::vector<uint32_t> WordsOfTwoThreads(const backend::Backend& backend, const EncodeSpec& spec,
                                        const WeightRows& rows) {
  EncodedShard halves[2];
  {
    std::jthread other([&] { halves[0] = EncodePart(backend, spec, rows, 0, rows.rows / 2); });
    halves[1] = EncodePart(backend, spec, rows, rows.rows / 2, rows.rows - rows.rows / 2);
  }
  halves[0].words.insert(halves[0].words.end(), halves[1].words.begin(), halves[1].words.end());
  return halves[0].words;
}

LevelTable UnevenLevels(const Profile& profile) {
  LevelTable levels;
  for (int i = 0; i < codec::kLevels; ++i) {
    levels.scale[i] = codec::LevelAt(-80 + (i < 8 ? 2 * i : 16 + 6 * (i - 8)), profile.unit());
  }
  return levels;
}

TEST_CASE("ties and the edges of the levels: every target makes the reference's bytes",
          "[differential]") {
  const auto reference = cpu::MakeReferenceBackend();
  std::mt19937 bits(17);
  for (const Profile& profile : codec::kProfiles) {
    for (const auto& [fit, levels] : {std::pair{Fit::kOptimal, UnevenLevels(profile)},
                                      std::pair{Fit::kOptimal, codec::Pow2Levels(profile, -6)},
                                      std::pair{Fit::kNearest, codec::Pow2Levels(profile, -6)}}) {
      const EncodeSpec spec{profile, fit, levels};
      for (const Edge edge : kEdges) {
        constexpr int64_t kBlocks = 6;
        std::vector<float> weights;
        for (int64_t i = 0; i < kBlocks; ++i) AppendEdge(profile, levels, edge, bits, weights);
        const WeightRows rows{backend::WeightType::kF32, kBlocks, profile.block,
                              reinterpret_cast<const std::byte*>(weights.data())};
        const auto expected = reference->Encode(spec, rows, {});
        REQUIRE(expected.ok());
        for (const std::string& name : cpu::SimdTargets()) {
          CAPTURE(profile.name, codec::Name(fit), codec::Name(levels.rule), static_cast<int>(edge),
                  name);
          const auto backend = *cpu::MakeSimdBackend(name);
          const auto got = backend->Encode(spec, rows, {});
          REQUIRE(got.ok());
          CHECK(got->words == expected->words);
          CHECK(got->levels == expected->levels);
          CHECK(WordsOfTwoThreads(*backend, spec, rows) == expected->words);
        }
      }
    }
  }
}

TEST_CASE("of codes that are equally good the least seed is taken, then the least rest") {
  // A code with q_0 = 0 of seed s is one with q_2 = 0 of its successor.
  const Profile& profile = codec::k4bit;
  const LevelTable levels = codec::Pow2Levels(profile, -6);
  const EncodeSpec spec{profile, Fit::kOptimal, levels};
  std::mt19937 bits(5);
  int decided = 0;
  for (int trial = 0; trial < 8; ++trial) {
    codec::BlockCode code;
    code.seed = static_cast<uint16_t>(1 + bits() % profile.seed_count());
    code.q[1] = 3;
    code.q[2] = static_cast<int8_t>(-1 - static_cast<int>(bits() % 3));
    code.level = 2;
    std::vector<float> weights(8);
    codec::DecodeBlock(profile, code, levels.scale.data(), weights.data());
    const uint32_t next = codec::NextState(code.seed, profile.lfsr_width);
    const WeightRows rows{backend::WeightType::kF32, 1, 8,
                          reinterpret_cast<const std::byte*>(weights.data())};
    for (const std::string& name : cpu::SimdTargets()) {
      const auto got = (*cpu::MakeSimdBackend(name))->Encode(spec, rows, {});
      REQUIRE(got.ok());
      CHECK(got->squared_error == 0);
      CHECK((got->words[0] & 0xFFFF) <= std::min<uint32_t>(code.seed, next));
      decided += next < code.seed;
    }
  }
  CHECK(decided > 0);
}

// Blocks that leave every seed to be looked at, as many as take hours.
void CheckStopsOnTheWay(const backend::Backend& backend, Fit fit, bool hopeless) {
  std::vector<float> weights(size_t{1} << 22);
  const std::vector<float> some =
      testing::MakeWeights(testing::Kind::kGaussian, size_t{1} << 12, 3);
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] = some[i % some.size()] * (hopeless ? 1e-4f : 1.0f);
  }
  const WeightRows rows{backend::WeightType::kF32, 1 << 10, 1 << 12,
                        reinterpret_cast<const std::byte*>(weights.data())};
  EncodeSpec spec;
  spec.fit = fit;
  spec.levels = codec::Pow2Levels(spec.profile, -2);
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    stop.request_stop();
  });
  CHECK(backend.Encode(spec, rows, stop.get_token()).status().code() ==
        absl::StatusCode::kCancelled);
}

TEST_CASE("a stop in the middle of a slow batch ends it", "[backend]") {
  for (const bool hopeless : {false, true}) {
    for (const Fit fit : {Fit::kOptimal, Fit::kNearest}) {
      CAPTURE(hopeless, codec::Name(fit));
      CheckStopsOnTheWay(*cpu::MakeReferenceBackend(), fit, hopeless);
      for (const std::string& name : cpu::SimdTargets()) {
        CAPTURE(name);
        CheckStopsOnTheWay(**cpu::MakeSimdBackend(name), fit, hopeless);
      }
      const auto index = std::make_shared<search::IndexStore>(int64_t{1} << 28);
      CheckStopsOnTheWay(**cpu::MakeSimdBackend("", index), fit, hopeless);
    }
  }
}

}  // namespace
}  // namespace seedlm
