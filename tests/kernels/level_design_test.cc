#include "kernels/codec/level_design.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/kernels/test_weights.h"

namespace seedlm::codec {
namespace {

NormHistogram HistogramOf(const Profile& profile, const std::vector<float>& weights) {
  NormHistogram histogram;
  for (size_t at = 0; at + static_cast<size_t>(profile.block) <= weights.size();
       at += static_cast<size_t>(profile.block)) {
    histogram.Add(profile, &weights[at], static_cast<int64_t>(at));
  }
  return histogram;
}

TEST_CASE("bins are eighths of an octave", "[level_design]") {
  for (int bin = -1000; bin <= 1000; ++bin) {
    const double edge = std::exp2(bin / 4.0);  // squared norm at the bin's lower edge
    CHECK(NormHistogram::BinOf(edge * (1 + 1e-12)) == bin);
    CHECK(NormHistogram::BinOf(edge * (1 - 1e-12)) == bin - 1);
  }
  CHECK(NormHistogram::BinOf(0x1p-298) >= NormHistogram::kFirstBin);
  CHECK(NormHistogram::BinOf(16 * 0x1p256) < NormHistogram::kFirstBin + NormHistogram::kBins);
}

TEST_CASE("a histogram does not depend on how it was put together", "[level_design]") {
  const std::vector<float> weights =
      testing::MakeWeights(testing::Kind::kHeavyTailed, 8 * 4000, 11);
  const NormHistogram whole = HistogramOf(k4bit, weights);
  NormHistogram parts[3];
  for (size_t at = 0; at < weights.size(); at += 8) {
    parts[(at / 8) % 3].Add(k4bit, &weights[at], static_cast<int64_t>(at));
  }
  parts[2].Merge(parts[0]);
  parts[2].Merge(parts[1]);
  CHECK(parts[2].total() == whole.total());
  for (int k = 0; k < NormHistogram::kBins; ++k) {
    const int bin = NormHistogram::kFirstBin + k;
    REQUIRE(parts[2].count(bin) == whole.count(bin));
    REQUIRE(parts[2].kept(bin).size() ==
            std::min<size_t>(NormHistogram::kKept, static_cast<size_t>(whole.count(bin))));
    for (size_t i = 0; i < whole.kept(bin).size(); ++i) {
      REQUIRE(parts[2].kept(bin)[i].weights == whole.kept(bin)[i].weights);
    }
  }
}

TEST_CASE("tables are normal, positive, ascending where fitted", "[level_design]") {
  for (const Profile& profile : kProfiles) {
    for (const auto kind : testing::kKinds) {
      const NormHistogram histogram = HistogramOf(profile, testing::MakeWeights(kind, 4800, 12));
      for (const ScaleRule rule : {ScaleRule::kPaper, ScaleRule::kPow2, ScaleRule::kFitted}) {
        const LevelTable table = DesignLevels(profile, rule, histogram);
        CAPTURE(profile.name, testing::Name(kind), Name(rule));
        CHECK(table.rule == rule);
        for (const float level : table.scale) CHECK(std::isnormal(level));
        CHECK(*std::min_element(table.scale.begin(), table.scale.end()) > 0);
        if (rule == ScaleRule::kFitted) {
          CHECK(std::is_sorted(table.scale.begin(), table.scale.end()));
        }
        if (rule == ScaleRule::kPow2) CHECK(table == Pow2Levels(profile, table.bias));
        if (rule == ScaleRule::kPaper) CHECK(table == PaperLevels(profile));
      }
    }
  }
}

TEST_CASE("the table follows the weights' scale", "[level_design]") {
  std::vector<float> weights = testing::MakeWeights(testing::Kind::kGaussian, 8 * 2000, 13);
  const LevelTable here = DesignLevels(k4bit, ScaleRule::kFitted, HistogramOf(k4bit, weights));
  for (float& w : weights) w *= 1024;
  const LevelTable there = DesignLevels(k4bit, ScaleRule::kFitted, HistogramOf(k4bit, weights));
  for (size_t i = 0; i < 16; ++i) CHECK(there.scale[i] == 1024 * here.scale[i]);
}

TEST_CASE("a Gaussian gets quarter octaves, outliers get coarser steps", "[level_design]") {
  const auto steps = [](const LevelTable& table) {
    return std::log2(table.scale[15] / table.scale[0]) / 15;
  };
  std::vector<float> weights = testing::MakeWeights(testing::Kind::kGaussian, 8 * 4000, 14);
  CHECK(steps(DesignLevels(k4bit, ScaleRule::kFitted, HistogramOf(k4bit, weights))) ==
        Approx(0.25));
  for (size_t i = 0; i < weights.size(); i += 500) weights[i] *= 60;
  CHECK(steps(DesignLevels(k4bit, ScaleRule::kFitted, HistogramOf(k4bit, weights))) > 0.3);
}

TEST_CASE("the modelled error is near the measured one", "[level_design]") {
  const NormHistogram histogram =
      HistogramOf(k4bit, testing::MakeWeights(testing::Kind::kGaussian, 8 * 4000, 15));
  double energy = 4000 * 8 * 0.02 * 0.02;
  double predicted = 0;
  DesignLevels(k4bit, ScaleRule::kFitted, histogram, &predicted);
  CHECK(std::sqrt(predicted / energy) == Approx(0.11).margin(0.005));
  DesignLevels(k4bit, ScaleRule::kPow2, histogram, &predicted);
  CHECK(std::sqrt(predicted / energy) == Approx(0.12).margin(0.005));
}

}  // namespace
}  // namespace seedlm::codec
