// The cell index: its lattices, its lists, its budget, its choice.
#include "kernels/search/cell_index.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <set>
#include <vector>

#include "kernels/codec/seed_search.h"
#include "kernels/search/bound_table.h"
#include "kernels/search/index_store.h"
#include "kernels/search/lattice.h"

namespace seedlm::search {
namespace {

template <int n>
double SquaredDistance(const float* x, const LatticePoint& point) {
  double squared = 0;
  for (int i = 0; i < n; ++i) {
    const double d = double{x[i]} - point.twice[i] / 2.0;
    squared += d * d;
  }
  return squared;
}

// The distance of x to D_n+, over all corners of the two cubes around it.
template <int n>
double BruteForceSquared(const float* x) {
  double least = HUGE_VAL;
  for (int half = 0; half <= 1; ++half) {
    for (int corner = 0; corner < 1 << n; ++corner) {
      LatticePoint point;
      int sum = 0;
      for (int i = 0; i < n; ++i) {
        const int whole = static_cast<int>(std::floor(x[i] - 0.5f * static_cast<float>(half))) +
                          ((corner >> i) & 1);
        sum += whole;
        point.twice[i] = static_cast<int8_t>(2 * whole + half);
      }
      if (sum % 2 == 0) least = std::min(least, SquaredDistance<n>(x, point));
    }
  }
  return least;
}

template <int n>
void CheckDecoder(int trials, double radius) {
  std::mt19937 bits(n);
  std::normal_distribution<float> normal;
  for (int trial = 0; trial < trials; ++trial) {
    float x[n];
    double norm = 0;
    for (float& value : x) {
      value = normal(bits);
      norm += double{value} * value;
    }
    for (float& value : x) value *= static_cast<float>(radius / std::sqrt(norm));
    const LatticePoint point = NearestOfDPlus<n>(x);
    int sum = 0;
    for (int i = 0; i < n; ++i) {
      REQUIRE((point.twice[i] & 1) == (point.twice[0] & 1));
      sum += point.twice[i] - (point.twice[0] & 1);
    }
    REQUIRE(sum % 4 == 0);  // the sum of the integers is even
    const double squared = SquaredDistance<n>(x, point);
    REQUIRE(squared <= BruteForceSquared<n>(x) + 1e-5);
    if (n == 8) REQUIRE(squared <= 1 + 1e-5);  // the covering radius of E8
  }
}

TEST_CASE("the decoder finds the nearest lattice point") {
  CheckDecoder<8>(2000, 2);
  CheckDecoder<8>(2000, 3);
  CheckDecoder<12>(50, 2);
  // A deep hole of E8, and ties.
  const float hole[8] = {1};
  CHECK(SquaredDistance<8>(hole, NearestOfDPlus<8>(hole)) == 1);
  const float tie[8] = {0.5f, 0.5f, 0.5f, 0.5f};
  CHECK(SquaredDistance<8>(tie, NearestOfDPlus<8>(tie)) == 1);
}

TEST_CASE("a key names a point and its opposite") {
  std::mt19937 bits(3);
  std::uniform_real_distribution<float> uniform(-4, 4);
  std::set<uint64_t> keys;
  for (int trial = 0; trial < 200; ++trial) {
    float x[12];
    for (float& value : x) value = uniform(bits);
    const LatticePoint point = NearestOfDPlus<12>(x);
    LatticePoint opposite;
    for (int i = 0; i < 12; ++i) opposite.twice[i] = static_cast<int8_t>(-point.twice[i]);
    const uint64_t key = CellKey<12>(point);
    CHECK(CellKey<12>(opposite) == key);
    keys.insert(key);
    const LatticePoint back = PointOfKey(key, 12);
    CHECK((std::equal(back.twice, back.twice + 12, point.twice) ||
           std::equal(back.twice, back.twice + 12, opposite.twice)));
  }
  CHECK(keys.size() > 190);
  CHECK(CellKey<8>(LatticePoint{}) == 0);
}

// 1 - |Q^T c|^2 for a unit-norm c, in float64.
std::vector<double> ExactX(const codec::Profile& profile, const double* unit) {
  std::vector<double> x(profile.seed_count() + 1);
  for (uint32_t seed = 1; seed < x.size(); ++seed) {
    const codec::Factor f = codec::FactorBasis(profile, codec::MakeBasis(profile, seed));
    x[seed] = 1;
    for (int p = 0; p < profile.rank; ++p) {
      double dot = 0;
      for (int c = 0; c < profile.block; ++c) dot += f.q[c][p] * unit[c];
      x[seed] -= dot * dot;
    }
  }
  return x;
}

TEST_CASE("the front of a list holds every seed that can matter") {
  const codec::Profile& profile = codec::k4bit;
  MemoryBudget budget(1 << 24);
  // Plain and as gaps: the coding goes by the expected number of seeds.
  const int entries = GENERATE(4000, 20000);
  const Resolution resolution{2, 0.9, 1000, entries, 3000};
  CellIndex index(profile, resolution, BoundTable::For(profile).margin(), budget);
  std::mt19937 bits(11);
  std::normal_distribution<double> normal;
  for (int trial = 0; trial < 3; ++trial) {
    double w[8], centre[8];
    float scaled[8];
    double norm = 0;
    for (double& value : w) {
      value = normal(bits);
      norm += value * value;
    }
    for (double& value : w) value /= std::sqrt(norm);
    for (int c = 0; c < 8; ++c) scaled[c] = static_cast<float>(2 * w[c]);
    const uint64_t key = CellKey<8>(NearestOfDPlus<8>(scaled));
    const LatticePoint point = PointOfKey(key, 8);
    double length = 0;
    for (int c = 0; c < 8; ++c) length += point.twice[c] * point.twice[c];
    double dot = 0;
    for (int c = 0; c < 8; ++c) {
      centre[c] = point.twice[c] / std::sqrt(length);
      dot += centre[c] * w[c];
    }
    const std::vector<double> from_centre = ExactX(profile, centre);
    const std::vector<double> from_block = ExactX(profile, w);
    std::vector<float> x;
    std::vector<uint32_t> seeds;
    for (uint32_t seed = profile.seed_count(); seed > 0; --seed) {
      x.push_back(static_cast<float>(from_centre[seed]));
      seeds.push_back(seed);
    }
    const uint32_t cell = index.Find(key);
    REQUIRE(cell != CellIndex::kNoCell);
    CHECK(index.Find(key) == cell);
    CHECK(index.key(cell) == key);
    index.Publish(cell, x, seeds);
    const CellIndex::List* list = index.list(cell);
    REQUIRE(list != nullptr);
    for (const double share : {0.0, 1e-4, 0.01, 0.05, 0.1, 0.2}) {
      const double need = index.Need(std::fabs(dot), share);
      if (need > index.end()) continue;
      const int prefix = index.Prefix(*list, need);
      std::vector<uint16_t> buffer(static_cast<size_t>(prefix));
      const uint16_t* begin = index.Seeds(*list, prefix, buffer.data());
      const std::set<uint16_t> front(begin, begin + prefix);
      size_t mattering = 0;
      for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
        if (from_block[seed] > share) continue;
        ++mattering;
        CHECK(front.count(static_cast<uint16_t>(seed)) == 1);
      }
      CHECK(mattering <= front.size());
      if (share == 0.05) CHECK(mattering > 10);
    }
  }
  CHECK(index.lists() >= 1);
  CHECK(index.Need(0.5, 0.3) > 1);  // more than a right angle: every seed
}

TEST_CASE("gaps of any length come back as the seeds they were") {
  const codec::Profile& profile = codec::k4bit;
  MemoryBudget budget(1 << 24);
  const Resolution resolution{2, 0.9, 1000, 20000, 3000};
  CellIndex index(profile, resolution, BoundTable::For(profile).margin(), budget);
  REQUIRE(index.coding() == CellIndex::Coding::kGaps);
  uint64_t key = 0;
  // Around what a byte holds, what is written at once, and the end of the seeds.
  for (const uint32_t gap : {1u, 254u, 255u, 256u, 510u, 511u, 1785u, 1786u, 2040u, 2041u, 2295u,
                             2296u, 21845u, 65535u}) {
    CAPTURE(gap);
    std::vector<float> x;
    std::vector<uint32_t> seeds;
    for (uint32_t seed = gap; seed <= profile.seed_count(); seed += gap) {
      x.push_back(0.01f);  // all in one bin
      seeds.push_back(seed);
    }
    std::reverse(seeds.begin(), seeds.end());
    const uint32_t cell = index.Find(++key);
    index.Publish(cell, x, seeds);
    const CellIndex::List* list = index.list(cell);
    REQUIRE(list != nullptr);
    REQUIRE(list->size() == static_cast<int>(seeds.size()));
    CHECK(index.IsSound(list->begin, {list->code, list->bytes}));
    std::vector<uint16_t> back(seeds.size());
    index.Seeds(*list, list->size(), back.data());
    std::reverse(seeds.begin(), seeds.end());
    CHECK(std::equal(back.begin(), back.end(), seeds.begin()));
  }
}

TEST_CASE("bins of gaps keep to themselves, one list after the other") {
  const codec::Profile& profile = codec::k4bit;
  MemoryBudget budget(1 << 24);
  const Resolution resolution{2, 0.9, 1000, 20000, 3000};
  CellIndex index(profile, resolution, BoundTable::For(profile).margin(), budget);
  CellIndex plain(profile, {2, 0.9, 1000, 4000, 3000}, BoundTable::For(profile).margin(), budget);
  REQUIRE(index.coding() == CellIndex::Coding::kGaps);
  REQUIRE(plain.coding() == CellIndex::Coding::kPlain);
  std::mt19937 bits(3);
  uint64_t key = 0;
  // Of every so many seeds one: bins that are full, and ones of a late seed alone.
  for (const uint32_t every : {1u, 2u, 300u, 9000u, 40000u, 1u}) {
    CAPTURE(every);
    std::vector<float> x;
    std::vector<uint32_t> seeds;
    for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
      if (seed % every != 0 && seed != profile.seed_count()) continue;
      seeds.push_back(seed);
      x.push_back(std::uniform_real_distribution<float>(
          0, 1.2f * static_cast<float>(index.end()))(bits));  // some beyond the end
    }
    std::vector<std::set<uint32_t>> expected(CellIndex::kBins);
    size_t inside = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto grain = static_cast<size_t>(x[i] * static_cast<float>(index.grain()));
      if (grain >= CellIndex::kGrains) continue;
      expected[index.bin_of()[grain]].insert(seeds[i]);
      ++inside;
    }
    const uint32_t cell = index.Find(++key);
    index.Publish(cell, x, seeds);
    plain.Publish(plain.Find(key), x, seeds);  // with the same memory to work in
    const CellIndex::List* list = index.list(cell);
    REQUIRE(list != nullptr);
    REQUIRE(list->size() == static_cast<int>(inside));
    CHECK(index.IsSound(list->begin, {list->code, list->bytes}));
    std::vector<uint16_t> back(inside);
    index.Seeds(*list, list->size(), back.data());
    for (size_t b = 0; b < CellIndex::kBins; ++b) {
      const std::set<uint32_t> bin(back.begin() + list->begin[b],
                                   back.begin() + list->begin[b + 1]);
      CHECK(bin == expected[b]);
    }
  }
}

TEST_CASE("lists stop where the memory ends") {
  MemoryBudget budget(2000);
  {
    CellIndex index(codec::k4bit, {2, 0.6, 100, 1000, 10}, 1e-4, budget);
    CHECK(!index.HasRoom());
    const std::vector<float> x(500, 0.1f);
    const std::vector<uint32_t> seeds(500, 7);
    index.Publish(index.Find(1), x, seeds);
    CHECK(index.list(index.Find(1)) != nullptr);
    const int64_t left = budget.left();
    CHECK(left < 1000);
    index.Publish(index.Find(2), x, seeds);
    CHECK(index.list(index.Find(2)) == nullptr);
    CHECK(budget.left() == left);
    CHECK(index.lists() == 1);
    CHECK(index.Find(0) == CellIndex::kNoCell);
  }
  CHECK(budget.left() == 2000);
}

TEST_CASE("a full table of cells says so") {
  MemoryBudget budget(0);
  CellIndex index(codec::k4bit, {2, 0.6, 10, 100, 10}, 1e-4, budget);
  size_t refused = 0;
  for (uint64_t key = 1; key <= 100; ++key) refused += index.Find(key) == CellIndex::kNoCell;
  CHECK(refused == 100 - index.cell_slots());
}

TEST_CASE("the choice follows the work") {
  const codec::Profile& profile = codec::k4bit;
  IndexStore store;
  std::string why;
  CHECK(store.Choose(profile, {100, 0}, &why) == nullptr);
  CHECK(why.find("exhaustive") != std::string::npos);
  CellIndex* coarse = store.Choose(profile, {200'000, 200'000}, &why);
  REQUIRE(coarse != nullptr);
  CHECK(coarse == &store.At(profile, 0));
  CHECK(store.Choose(profile, {1 << 19, 25'000'000}, &why) == &store.At(profile, 1));
  CHECK(why.find("fine") != std::string::npos);
  CHECK(store.Choose(codec::k2bit, {1 << 19, 25'000'000}) == nullptr);
  IndexStore none(0);
  CHECK(none.Choose(profile, {1 << 19, 25'000'000}) == nullptr);
  IndexStore little(10'000);  // room for no list
  CHECK(little.Choose(profile, {1000, 1000}) == nullptr);
  CHECK(little.TakeWarning().empty());  // an index would not pay for so little
  CHECK(little.Choose(profile, {1 << 19, 25'000'000}) == nullptr);
  CHECK(little.Choose(codec::k2bit, {1 << 19, 25'000'000}) == nullptr);
  const std::string warning = little.TakeWarning();
  CHECK(warning.find("4bit is searched without an index") == 0);
  CHECK(warning.find("--index-memory") != std::string::npos);
  CHECK(little.Choose(profile, {1 << 19, 25'000'000}) == nullptr);
  CHECK(little.TakeWarning().empty());  // said
  CHECK(none.TakeWarning().empty());    // as was asked for
  const auto& fine = Resolutions(profile)[1];
  CHECK(ModelCost(fine, {1 << 19, 25'000'000}, {85'020, 0}) <
        ModelCost(fine, {1 << 19, 25'000'000}, {0, int64_t{1} << 30}));
}

}  // namespace
}  // namespace seedlm::search
