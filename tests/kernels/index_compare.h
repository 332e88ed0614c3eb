// What the tests of the cell index share: the same blocks through the index and by the scan of all
// seeds.
#pragma once

#include <catch2/catch.hpp>
#include <vector>

#include "kernels/codec/level_design.h"
#include "kernels/cpu/exhaustive_search.h"
#include "kernels/cpu/index_search.h"

namespace seedlm::cpu {

// The profiles that have an index.
inline const codec::Profile* const kIndexed[] = {&codec::k4bit, &codec::k3bit, &codec::k4_5bit};

struct Blocks {
  std::vector<float> weights;  // [places, C]
  std::vector<uint32_t> places;
  std::vector<codec::Candidate> best;

  // To be searched from the beginning.
  Batch Start(const backend::EncodeSpec& spec) {
    const size_t width = static_cast<size_t>(spec.profile.block);
    places.clear();
    best.resize(weights.size() / width);
    for (size_t i = 0; i < best.size(); ++i) {
      const codec::BlockTask task = codec::MakeTask(spec.profile, &weights[i * width]);
      best[i] = codec::InitialCandidate(spec.fit, task);
      if (task.squared_norm > 0) places.push_back(static_cast<uint32_t>(i));
    }
    return {weights.data(), best.data()};
  }
};

inline codec::LevelTable LevelsFor(const codec::Profile& profile, codec::ScaleRule rule,
                                   const std::vector<float>& weights) {
  codec::NormHistogram histogram;
  for (size_t i = 0; i < weights.size(); i += static_cast<size_t>(profile.block)) {
    histogram.Add(profile, &weights[i], static_cast<int64_t>(i));
  }
  return codec::DesignLevels(profile, rule, histogram);
}

// Encodes by index and by scan and compares; returns what the index did.
inline IndexStatistics Compare(const SearchKernels& kernels, const backend::EncodeSpec& spec,
                               search::CellIndex& index, const std::vector<float>& weights) {
  Blocks by_index{weights, {}, {}}, by_scan{weights, {}, {}};
  IndexSearch search(kernels, spec, index);
  const Batch indexed = by_index.Start(spec);
  const Section section{&spec, by_index.places};
  const size_t sections = by_index.places.empty() ? 0 : 1;
  REQUIRE(search.Run(indexed, {&section, sections}, {}).ok());
  ExhaustiveSearch scan(kernels, spec);
  const Batch scanned = by_scan.Start(spec);
  REQUIRE(scan.Run(scanned, {&section, sections}, {}).ok());
  size_t different = 0;
  for (size_t i = 0; i < by_scan.best.size(); ++i) {
    const codec::Candidate &a = by_index.best[i], &b = by_scan.best[i];
    const bool same = a.error == b.error && a.seed == b.seed && a.remainder == b.remainder;
    different += !same;
    if (!same && different < 4) {
      UNSCOPED_INFO("block " << i << ": seed " << a.seed << " error " << a.error << ", not seed "
                             << b.seed << " error " << b.error);
    }
  }
  CHECK(different == 0);
  return search.statistics();
}

}  // namespace seedlm::cpu
