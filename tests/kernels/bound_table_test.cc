#include "kernels/search/bound_table.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>
#include <vector>

#include "kernels/codec/seed_search.h"
#include "kernels/cpu/search_kernels.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::search {
namespace {

TEST_CASE("every seed stands in the table once or twice", "[bound_table]") {
  for (const codec::Profile& profile : codec::kProfiles) {
    const BoundTable& table = BoundTable::For(profile);
    CHECK(table.profile().name == profile.name);
    std::set<uint32_t> plain;
    for (int chunk = 0; chunk < table.plain_chunks(); ++chunk) {
      for (int i = 0; i < kChunk; ++i) {
        if (const uint32_t seed = table.SeedAt(chunk, i)) CHECK(plain.insert(seed).second);
      }
    }
    CHECK(plain.size() == profile.seed_count());
    CHECK(table.shortest_codes().size() == profile.seed_count());
  }
}

// The claim that the exactness of the scan rests on.
TEST_CASE("no score is off by more than the margin, on any target", "[bound_table]") {
  for (const codec::Profile& profile : codec::kProfiles) {
    const BoundTable& table = BoundTable::For(profile);
    CHECK(table.margin() < 1e-3f);
    const size_t width = static_cast<size_t>(profile.block);
    for (const auto kind : {testing::Kind::kGaussian, testing::Kind::kConstant}) {
      const std::vector<float> block = testing::MakeWeights(kind, width, 7);
      const double norm = std::sqrt(codec::MakeTask(profile, block.data()).squared_norm);
      std::vector<int16_t> integers;
      for (const float w : block) {
        integers.push_back(static_cast<int16_t>(std::lrint(w / norm * table.block_unit())));
      }
      for (const std::string& target : cpu::SupportedTargets()) {
        const cpu::SearchKernels kernels = cpu::KernelsFor(target);
        std::vector<float> maxima(static_cast<size_t>(table.chunks()));
        kernels.chunk_maxima(table, integers.data(), 1, maxima.data());
        std::vector<float> scores(static_cast<size_t>(kChunk));
        std::vector<double> found(profile.seed_count() + 1, 0.0);
        bool maxima_agree = true;
        for (int chunk = 0; chunk < table.chunks(); ++chunk) {
          kernels.chunk_scores(table, integers.data(), 1, chunk, scores.data());
          float largest = 0;
          for (int i = 0; i < kChunk; ++i) {
            const double score = double{scores[static_cast<size_t>(i)]};
            largest = std::max(largest, scores[static_cast<size_t>(i)]);
            double& at = found[table.SeedAt(chunk, i)];
            at = std::max(at, score);
          }
          maxima_agree &= largest == maxima[static_cast<size_t>(chunk)];
        }
        double worst = 0;
        for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
          double z[codec::kMaxRank];
          const codec::Factor f = codec::FactorBasis(profile, codec::MakeBasis(profile, seed));
          const double exact = codec::Project(profile, f, block.data(), z) / (norm * norm);
          worst = std::max(worst, std::abs(exact - found[seed]));
        }
        CAPTURE(profile.name, target, worst);
        CHECK(maxima_agree);
        CHECK(worst <= double{table.margin()});
      }
    }
  }
}

}  // namespace
}  // namespace seedlm::search
