// The search through the cell index against the exhaustive scan: the same codes, to the last tie.
// The cases of [slow] are the same with a million blocks and more.
#include "kernels/cpu/index_search.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernels/cpu/backends.h"
#include "kernels/search/index_store.h"
#include "kernels/search/lattice.h"
#include "tests/kernels/index_compare.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::cpu {
namespace {

using codec::Fit;
using codec::Profile;
using codec::ScaleRule;
using testing::Kind;

// Blocks that are hard in some way: on the border of two cells, on a centre, in a hole of the
// lattice, exactly a code of a seed (error 0, several seeds), of an ill-conditioned seed, nearly
// so.
std::vector<float> AdversarialBlocks(const Profile& profile, double radius, unsigned seed,
                                     int count) {
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal;
  const search::SeedTable& table = search::SeedTable::For(profile);
  std::vector<uint32_t> ill;
  for (uint32_t s = 1; s <= profile.seed_count(); ++s) {
    if (!table.sound(s)) ill.push_back(s);
  }
  std::vector<float> weights;
  const auto nearest = [&](const float* x) {
    return profile.block == 8 ? search::NearestOfDPlus<8>(x) : search::NearestOfDPlus<12>(x);
  };
  for (int i = 0; i < count; ++i) {
    float x[codec::kMaxBlock] = {};
    double squared = 0;
    for (int c = 0; c < profile.block; ++c) {
      x[c] = normal(bits);
      squared += double{x[c]} * x[c];
    }
    for (int c = 0; c < profile.block; ++c) x[c] *= static_cast<float>(radius / std::sqrt(squared));
    const search::LatticePoint point = nearest(x);
    const uint32_t chosen =
        i % 2 == 0 ? 1 + bits() % profile.seed_count() : ill[bits() % ill.size()];
    const codec::Basis basis = codec::MakeBasis(profile, chosen);
    int8_t q[codec::kMaxRank];
    for (int8_t& value : q) value = static_cast<int8_t>(static_cast<int>(bits() % 16) - 8);
    for (int c = 0; c < profile.block; ++c) {
      const float centre = static_cast<float>(point.twice[c]) / 2;
      const float decoded = codec::DecodeWeight(profile, basis.at[c], q, 0x1p-22f);
      switch (i / 2 % 5) {
        case 0:  // a centre
          x[c] = 0.01f * centre;
          break;
        case 1:  // half way to the next point along two axes
          x[c] = 0.01f * (centre + (c < 2 ? 0.5f : 0.0f));
          break;
        case 2:
          x[c] = decoded;
          break;
        case 3:
          x[c] = decoded * (1 + 1e-6f * normal(bits));
          break;
        default:  // few weights that are not 0
          x[c] = bits() % 4 == 0 ? 0.01f * normal(bits) : 0.0f;
      }
    }
    weights.insert(weights.end(), x, x + profile.block);
  }
  return weights;
}

// Blocks of kinds that nearly all seeds fit equally badly take milliseconds, however searched.
size_t CountOf(Kind kind, size_t blocks) {
  switch (kind) {
    case Kind::kTiny:
    case Kind::kHuge:
    case Kind::kConstant:
      return std::min<size_t>(blocks, 32);
    case Kind::kSparse:
      return std::min<size_t>(blocks, 20'000);
    default:
      return blocks;
  }
}

// Each profile, kind of weights and resolution; `blocks` for each. Returns the blocks compared.
int64_t RunKinds(size_t blocks, bool all_fits) {
  const SearchKernels kernels = KernelsFor(SupportedTargets().front());
  int64_t compared = 0;
  unsigned seed = 100;
  for (const Profile* profile : kIndexed) {
    search::IndexStore store(int64_t{2} << 30);
    for (const Kind kind : testing::kKinds) {
      const std::vector<float> weights = testing::MakeWeights(
          kind, CountOf(kind, blocks) * static_cast<size_t>(profile->block), ++seed);
      for (const auto& [fit, rule] : {std::pair{Fit::kOptimal, ScaleRule::kFitted},
                                      std::pair{Fit::kOptimal, ScaleRule::kPaper},
                                      std::pair{Fit::kNearest, ScaleRule::kPow2}}) {
        if (!all_fits && rule != ScaleRule::kFitted) continue;
        const backend::EncodeSpec spec{*profile, fit, LevelsFor(*profile, rule, weights),
                                       int64_t{1} << 40};
        for (size_t r = 0; r < search::Resolutions(*profile).size(); ++r) {
          CAPTURE(profile->name, testing::Name(kind), codec::Name(fit), codec::Name(rule), r);
          const IndexStatistics done = Compare(kernels, spec, store.At(*profile, r), weights);
          compared += done.blocks;
          if (kind == Kind::kGaussian && rule == ScaleRule::kFitted) {
            CHECK(done.exhaustive < done.blocks / 4);
            CHECK(done.scored > 0);
          }
        }
      }
    }
  }
  return compared;
}

// A block on the grid of bytes: its own rounding is not part of its scores. Its largest entries are
// the largest that every instruction set adds up without saturation.
ByteBlock MakeByteBlock(const Profile& profile, bool extreme, std::mt19937& bits) {
  constexpr int kMost = search::SeedTable::kLeastByteWeight;
  ByteBlock block{};
  double squared = 0;
  for (int c = 0; c < profile.block; ++c) {
    const int random = static_cast<int>(bits() % (2 * kMost + 1)) - kMost;
    const int sign = random < 0 ? -1 : 1;
    block.weights[c] = static_cast<int8_t>(extreme || c == 0 ? sign * kMost : random);
    block.offset -= 128 * block.weights[c];
    squared += block.weights[c] * block.weights[c];
  }
  block.scale = static_cast<float>(1 / squared);
  return block;
}

// |Q^T u|^2 of a block, exactly.
double ScoreOf(const Profile& profile, uint32_t seed, const ByteBlock& block) {
  const codec::Factor factor = codec::FactorBasis(profile, codec::MakeBasis(profile, seed));
  float weights[codec::kMaxBlock];
  double squared = 0;
  for (int c = 0; c < profile.block; ++c) {
    weights[c] = block.weights[c];
    squared += block.weights[c] * block.weights[c];
  }
  double z[codec::kMaxRank];
  return codec::Project(profile, factor, weights, z) / squared;
}

TEST_CASE("scores of byte rows are bounds of the projections, and not far from them") {
  const Profile& profile = codec::k3bit;
  const search::SeedTable& table = search::SeedTable::For(profile);
  REQUIRE(table.has_byte_rows());
  std::vector<uint16_t> seeds;
  for (uint32_t s = 1; s <= profile.seed_count(); s += 7) seeds.push_back(static_cast<uint16_t>(s));
  for (const std::string& name : SupportedTargets()) {
    const SearchKernels kernels = KernelsFor(name);
    if (kernels.score_byte_rows == nullptr) continue;
    CAPTURE(name);
    const int count = static_cast<int>(seeds.size());
    search::AlignedWords tiles(ByteTileWords(seeds.size()));
    kernels.fetch_byte_rows(table, seeds.data(), count, tiles.data());
    std::mt19937 bits(3);
    for (const bool extreme : {false, true}) {
      const ByteBlock block = MakeByteBlock(profile, extreme, bits);
      search::AlignedFloats scores(RoundUp(seeds.size())), peaks(scores.size());
      kernels.score_byte_rows(profile, tiles.data(), count, &block, 1,
                              {scores.data(), peaks.data(), 0});
      double slack = 0;
      for (size_t i = 0; i < seeds.size(); ++i) {
        const double exact = ScoreOf(profile, seeds[i], block);
        if (exact > scores[i] + search::SeedTable::kByteMargin) {
          FAIL_CHECK("seed " << seeds[i] << ": " << exact << " above " << scores[i]);
        }
        slack += scores[i] - exact;
      }
      CHECK(slack / count < 0.03);
    }
  }
}

TEST_CASE("a block's slack covers what bytes cost it") {
  const Profile& profile = codec::k3bit;
  const search::SeedTable& table = search::SeedTable::For(profile);
  const codec::LevelTable levels = codec::Pow2Levels(profile, 0);
  const std::vector<double> centre(static_cast<size_t>(profile.block),
                                   std::sqrt(1.0 / profile.block));
  std::vector<uint16_t> seeds;
  for (uint32_t s = 1; s <= profile.seed_count(); s += 31)
    seeds.push_back(static_cast<uint16_t>(s));
  search::AlignedWords tiles(ByteTileWords(seeds.size()));
  search::AlignedFloats scores(RoundUp(seeds.size())), peaks(scores.size());
  for (const std::string& name : SupportedTargets()) {
    const SearchKernels kernels = KernelsFor(name);
    if (kernels.score_byte_rows == nullptr) continue;
    const int count = static_cast<int>(seeds.size());
    kernels.fetch_byte_rows(table, seeds.data(), count, tiles.data());
    for (const testing::Kind kind : testing::kKinds) {
      const std::vector<float> weights =
          testing::MakeWeights(kind, static_cast<size_t>(profile.block), 21);
      const codec::BlockTask task = codec::MakeTask(profile, weights.data());
      if (!(task.squared_norm > 0)) continue;
      CAPTURE(name, testing::Name(kind));
      PreparedBlock block;
      kernels.prepare_for_cell(profile, levels, table, weights.data(), centre.data(), true, block);
      kernels.score_byte_rows(profile, tiles.data(), count, &block.bytes, 1,
                              {scores.data(), peaks.data(), 0});
      double room = 0;
      for (size_t i = 0; i < seeds.size(); ++i) {
        double z[codec::kMaxRank];
        const codec::Factor factor =
            codec::FactorBasis(profile, codec::MakeBasis(profile, seeds[i]));
        const double exact = codec::Project(profile, factor, weights.data(), z) / task.squared_norm;
        const double bound = scores[i] + block.slack;
        if (exact > bound) FAIL_CHECK("seed " << seeds[i] << ": " << exact << " above " << bound);
        room += bound - exact;
      }
      CHECK(room / count < 0.1);
    }
  }
}

TEST_CASE("through the index every kind of block gets the exhaustive scan's code") {
  CHECK(RunKinds(120, true) > 5000);
}

TEST_CASE("a million blocks get the exhaustive scan's codes", "[.][slow]") {
  CHECK(RunKinds(70'000, false) >= 1'000'000);
}

void RunAdversarial(int blocks) {
  const SearchKernels kernels = KernelsFor(SupportedTargets().front());
  for (const Profile* profile : kIndexed) {
    search::IndexStore store(int64_t{2} << 30);
    for (size_t r = 0; r < search::Resolutions(*profile).size(); ++r) {
      search::CellIndex& index = store.At(*profile, r);
      const std::vector<float> weights =
          AdversarialBlocks(*profile, index.resolution().radius, 7, blocks);
      for (const ScaleRule rule : {ScaleRule::kFitted, ScaleRule::kPow2}) {
        backend::EncodeSpec spec{*profile, Fit::kOptimal, LevelsFor(*profile, rule, weights),
                                 int64_t{1} << 40};
        CAPTURE(profile->name, r, codec::Name(rule));
        Compare(kernels, spec, index, weights);
        spec.levels.scale[0] = 0x1p-22f;  // so that blocks are codes, exactly
        Compare(kernels, spec, index, weights);
      }
    }
  }
}

TEST_CASE("hard blocks get the exhaustive scan's codes") { RunAdversarial(200); }

TEST_CASE("many hard blocks get the exhaustive scan's codes", "[.][slow]") {
  RunAdversarial(20'000);
}

TEST_CASE("every instruction set searches the index alike") {
  for (const Profile* profile : kIndexed) {
    const std::vector<float> weights =
        testing::MakeWeights(Kind::kGaussian, 40 * static_cast<size_t>(profile->block), 3);
    const backend::EncodeSpec spec{*profile, Fit::kOptimal,
                                   LevelsFor(*profile, ScaleRule::kFitted, weights),
                                   int64_t{1} << 40};
    for (const std::string& name : SupportedTargets()) {
      CAPTURE(profile->name, name);
      search::IndexStore store;
      Compare(KernelsFor(name), spec, store.At(*profile, 0), weights);
    }
  }
}

TEST_CASE("a list that is too short, or missing, is no error") {
  const Profile& profile = codec::k4bit;
  const SearchKernels kernels = KernelsFor(SupportedTargets().front());
  const std::vector<float> weights = testing::MakeWeights(Kind::kGaussian, 300 * 8, 21);
  const backend::EncodeSpec spec{profile, Fit::kOptimal,
                                 LevelsFor(profile, ScaleRule::kFitted, weights), int64_t{1} << 40};
  search::MemoryBudget budget(1 << 20), nothing(0);
  const double margin = search::BoundTable::For(profile).margin();
  search::CellIndex shorter(profile, {2, 0.42, 6'660, 1000, 100}, margin, budget);
  const IndexStatistics some = Compare(kernels, spec, shorter, weights);
  CHECK(some.exhaustive > 20);
  CHECK(some.exhaustive < 300);
  search::CellIndex none(profile, {2, 0.6, 6'660, 1000, 100}, margin, nothing);
  CHECK(Compare(kernels, spec, none, weights).exhaustive == 300);
  search::CellIndex few(profile, {2, 0.6, 2, 1000, 100}, margin, budget);  // cells
  CHECK(Compare(kernels, spec, few, weights).exhaustive > 100);
}

TEST_CASE("where memory is short the cells with most blocks get the lists") {
  const Profile& profile = codec::k4bit;
  const SearchKernels kernels = KernelsFor(SupportedTargets().front());
  std::vector<float> weights = testing::MakeWeights(Kind::kGaussian, 400 * 8, 5);
  for (size_t i = 0; i < 100; ++i) {  // every fourth block in one of two directions
    const size_t from = 8 * (i % 2), at = 32 * (i + 1) - 8;
    for (size_t c = 0; c < 8; ++c) {
      weights[at + c] = weights[from + c] * (1 + 0.003f * static_cast<float>(i));
    }
  }
  const backend::EncodeSpec spec{profile, Fit::kOptimal,
                                 LevelsFor(profile, ScaleRule::kFitted, weights), int64_t{1} << 40};
  const search::Resolution resolution{2, 0.6, 6'660, 7000, 3200};
  search::MemoryBudget budget(resolution.list_bytes() * 9 / 4);  // two
  search::CellIndex index(profile, resolution, search::BoundTable::For(profile).margin(), budget);
  REQUIRE(index.room() == 2);
  CHECK(Compare(kernels, spec, index, weights).exhaustive <= 300);
  CHECK(index.lists() == 2);
}

TEST_CASE("a stop request ends a search through the index") {
  const auto backend = *MakeSimdBackend("", std::make_shared<search::IndexStore>());
  const std::vector<float> weights = testing::MakeWeights(Kind::kGaussian, 64 * 64, 2);
  backend::EncodeSpec spec;
  spec.levels = codec::Pow2Levels(spec.profile, -10);
  spec.blocks_to_come = int64_t{1} << 30;
  std::stop_source stop;
  stop.request_stop();
  const backend::WeightRows rows{backend::WeightType::kF32, 64, 64,
                                 reinterpret_cast<const std::byte*>(weights.data())};
  CHECK(backend->Encode(spec, rows, stop.get_token()).status().code() ==
        absl::StatusCode::kCancelled);
}

TEST_CASE("a batch finds nothing of the one before it", "[index]") {
  const Profile& profile = codec::k4bit;
  const SearchKernels kernels = KernelsFor(SupportedTargets().front());
  search::IndexStore store;
  search::CellIndex& index = store.At(profile, 0);
  const auto weights = testing::MakeWeights(Kind::kGaussian, 3000 * 8, 8);
  const std::vector<float> parts[] = {{weights.begin(), weights.begin() + 2000 * 8},
                                      {weights.begin() + 2000 * 8, weights.end()}};
  const backend::EncodeSpec spec{profile, Fit::kOptimal,
                                 LevelsFor(profile, ScaleRule::kFitted, weights), int64_t{1} << 40};
  IndexSearch search(kernels, spec, index);
  for (const std::vector<float>& part : parts) {
    Blocks one{part, {}, {}}, other{part, {}, {}};
    const Batch batch = one.Start(spec);
    const Section section{&spec, one.places};
    REQUIRE(search.Run(batch, {&section, 1}, {}).ok());
    const Batch scanned = other.Start(spec);
    REQUIRE(ExhaustiveSearch(kernels, spec).Run(scanned, {&section, 1}, {}).ok());
    for (size_t i = 0; i < one.best.size(); ++i) {
      if (one.best[i].seed == other.best[i].seed && one.best[i].error == other.best[i].error)
        continue;
      FAIL("block " << i);
    }
  }
  CHECK(search.statistics().blocks == 3000);
}

}  // namespace
}  // namespace seedlm::cpu
