// The SIMD kernels around the scoring of lists, for every instruction set of this machine.
#include "kernels/cpu/search_kernels.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/search/bound_table.h"
#include "kernels/search/cache_aligned.h"
#include "kernels/search/cell_index.h"
#include "kernels/search/lattice.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::cpu {
namespace {

using codec::Profile;
using testing::Kind;

uint64_t KeyOf(const Profile& profile, const codec::BlockTask& task, double radius) {
  const double scale = radius / std::sqrt(task.squared_norm);
  float x[codec::kMaxBlock];
  for (int c = 0; c < profile.block; ++c) x[c] = static_cast<float>(task.weights[c] * scale);
  return profile.block == 8 ? search::CellKey<8>(search::NearestOfDPlus<8>(x))
                            : search::CellKey<12>(search::NearestOfDPlus<12>(x));
}

TEST_CASE("vectors of blocks get the cells that the lattice's own routine gives them") {
  constexpr size_t kCount = 203;  // not whole vectors
  for (const Profile* profile : {&codec::k4bit, &codec::k3bit}) {
    const size_t width = static_cast<size_t>(profile->block);
    // Sparse blocks lie between cells; tiny ones are near the end of float32.
    for (const Kind kind : {Kind::kGaussian, Kind::kSparse, Kind::kTiny}) {
      std::vector<float> weights = testing::MakeWeights(kind, kCount * width, 11);
      for (size_t i = 0; i < kCount; ++i) weights[i * width + i % width] += 0x1p-80f;  // none is 0
      for (size_t c = 0; c < width; ++c) weights[c] = c < 2 ? -0.5f : 0.0f;            // a tie
      std::vector<uint32_t> places(kCount);
      std::iota(places.rbegin(), places.rend(), 0u);
      for (const std::string& name : SupportedTargets()) {
        CAPTURE(name, profile->name, testing::Name(kind));
        uint64_t keys[kCount];
        double squared_norms[kCount];
        KernelsFor(name).cell_keys(*profile, weights.data(), places.data(), kCount, 3.0, keys,
                                   squared_norms);
        size_t wrong = 0;
        for (size_t i = 0; i < kCount; ++i) {
          const codec::BlockTask task = codec::MakeTask(*profile, &weights[places[i] * width]);
          wrong += keys[i] != KeyOf(*profile, task, 3.0) || squared_norms[i] != task.squared_norm;
        }
        CHECK(wrong == 0);
      }
    }
    // A point so near the origin that its cell is the origin's.
    const std::vector<float> weights(width, 1.0f);
    const uint32_t place = 0;
    uint64_t key = 1;
    double squared_norm = 0;
    for (const std::string& name : SupportedTargets()) {
      KernelsFor(name).cell_keys(*profile, weights.data(), &place, 1, 0.1, &key, &squared_norm);
      CHECK(key == 0);
    }
  }
}

TEST_CASE("gaps are decoded alike by every instruction set, to any count") {
  std::mt19937 bits(17);
  std::vector<uint16_t> begin{0}, seeds;
  std::vector<uint8_t> code;
  for (int bin = 0; bin < search::CellIndex::kBins; ++bin) {
    const uint32_t most = bin % 3 == 0 ? 3 : bin % 3 == 1 ? 300 : 3000;  // 3000: many empty bytes
    uint32_t seed = 0;
    for (uint32_t i = bits() % 150; i > 0; --i) {
      uint32_t gap = 1 + bits() % most;
      if (seed + gap > 0xFFFF) break;
      seed += gap;
      for (; gap > 255; gap -= 255) code.push_back(0);
      code.push_back(static_cast<uint8_t>(gap));
      seeds.push_back(static_cast<uint16_t>(seed));
    }
    begin.push_back(static_cast<uint16_t>(seeds.size()));
  }
  REQUIRE(seeds.size() > 2000);
  for (const std::string& name : SupportedTargets()) {
    CAPTURE(name);
    const SearchKernels kernels = KernelsFor(name);
    size_t wrong = 0;
    for (size_t count = 0; count <= seeds.size(); count += count < 40 ? 1 : 97) {
      std::vector<uint16_t> decoded(count + 1, 0xFFFF);
      kernels.decode_gaps(begin.data(), code.data(), static_cast<int>(count), decoded.data());
      wrong += !std::equal(seeds.begin(), seeds.begin() + static_cast<ptrdiff_t>(count),
                           decoded.begin());
      wrong += decoded[count] != 0xFFFF;  // nothing behind
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("seeds near a centre are kept in their order by every instruction set") {
  std::mt19937 random(5);
  search::AlignedFloats scores(search::kChunk);
  std::vector<uint32_t> seeds(scores.size());
  std::iota(seeds.begin(), seeds.end(), 7u);
  for (const double share : {0.0, 0.02, 0.5, 1.0}) {  // of them, that are near
    std::bernoulli_distribution near(share);
    for (float& score : scores) {
      score = std::uniform_real_distribution<float>(0, 0.5f)(random) + (near(random) ? 0.5f : 0);
    }
    std::vector<float> x;
    std::vector<uint32_t> kept;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (scores[i] < 0.5f) continue;
      x.push_back(1.0f - scores[i]);
      kept.push_back(seeds[i]);
    }
    for (const std::string& name : SupportedTargets()) {
      CAPTURE(name, share);
      std::vector<float> found_x(scores.size() + 16);
      std::vector<uint32_t> found(scores.size() + 16);
      const int count = KernelsFor(name).keep(scores.data(), seeds.data(), search::kChunk, 0.5f,
                                              found_x.data(), found.data());
      REQUIRE(count == static_cast<int>(kept.size()));
      found_x.resize(kept.size());
      found.resize(kept.size());
      CHECK(found_x == x);
      CHECK(found == kept);
    }
  }
}

TEST_CASE("peaks lead to the largest score and to all that reach a threshold") {
  const Profile& profile = codec::k4bit;
  const search::SeedTable& table = search::SeedTable::For(profile);
  constexpr size_t kBlocks = 5;
  std::vector<int16_t> blocks;
  std::mt19937 bits(23);
  for (size_t i = 0; i < kBlocks * 8; ++i) {
    blocks.push_back(static_cast<int16_t>(static_cast<int>(bits() % 22000) - 11000));
  }
  for (const size_t count : {1u, 15u, 127u, 129u, 700u}) {
    std::vector<uint16_t> seeds;
    for (size_t i = 0; i < count; ++i) seeds.push_back(static_cast<uint16_t>(1 + bits() % 65535));
    const size_t stride = (count + 127) / 128 * 128;
    for (const std::string& name : SupportedTargets()) {
      CAPTURE(name, count);
      const SearchKernels kernels = KernelsFor(name);
      search::AlignedWords tiles(TileWords(profile, count));
      kernels.fetch_rows(table, seeds.data(), static_cast<int>(count), tiles.data());
      search::AlignedFloats scores(kBlocks * stride, -1), peaks(kBlocks * stride / Scores::kRun);
      kernels.score_rows(profile, tiles.data(), static_cast<int>(count), blocks.data(), kBlocks,
                         {scores.data(), peaks.data(), stride});
      for (size_t b = 0; b < kBlocks; ++b) {
        const Scores of{&scores[b * stride], &peaks[b * stride / Scores::kRun], stride};
        const auto first = of.scores, last = of.scores + count;
        const auto top = std::max_element(first, last);
        CHECK(kernels.largest(of, static_cast<int>(count)) == top - first);
        for (const float threshold : {*top, *top * 0.7f, *top * 0.2f, *top * 1.01f}) {
          std::vector<uint32_t> found(RoundUp(count)), expected;
          for (size_t i = 0; i < count; ++i) {
            if (first[i] >= threshold) expected.push_back(static_cast<uint32_t>(i));
          }
          found.resize(static_cast<size_t>(
              kernels.select(of, static_cast<int>(count), threshold, found.data())));
          CHECK(found == expected);
        }
      }
    }
  }
}

}  // namespace
}  // namespace seedlm::cpu
