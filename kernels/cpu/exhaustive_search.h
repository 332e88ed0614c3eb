// The scan of all seeds: the search that needs no index, and what falls back on it.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kernels/backend/shard.h"
#include "kernels/codec/seed_search.h"
#include "kernels/cpu/encode_shard.h"
#include "kernels/cpu/search_kernels.h"
#include "kernels/search/bound_table.h"
#include "kernels/search/seed_table.h"

namespace seedlm::cpu {

// Squared norms from `least` to `most`.
struct NormRange {
  double least = 0, most = 0;

  bool Contains(double squared_norm) const { return squared_norm >= least && squared_norm <= most; }
};

// Above it a block is so far over the highest level that no code reaches its projections, and most
// codes of a seed are nearly alike.
double LargestScannedNorm(const backend::EncodeSpec& spec);

// Of the blocks that are scanned. Others are so large or so small for the levels that their codes
// are found without.
NormRange ScannedNorms(const backend::EncodeSpec& spec);

// Finds the exact best codes of a batch: all seeds are scored in float32 with a proven margin, and
// those that can matter are finished exactly. Not thread-safe: buffers are reused. What it is made
// from must outlive it.
class ExhaustiveSearch {
 public:
  // `spec` is one of those of the sections to come, which differ in nothing but their levels.
  ExhaustiveSearch(const SearchKernels& kernels, const backend::EncodeSpec& spec);

  // Encodes `batch`; its candidates may also be better ones than the initial. CANCELLED after
  // `stop`.
  absl::Status Run(const Batch& batch, std::span<const Section> sections, std::stop_token stop);

 private:
  struct Block {
    codec::BlockTask task;
    const codec::LevelTable* levels;
    uint32_t place;  // in the batch
  };

  void Add(const Batch& batch, const backend::EncodeSpec& spec, const NormRange& scanned,
           uint32_t place);
  absl::Status Scan(const Batch& batch, const std::stop_token& stop);
  void SearchFar(const Block& block, codec::Candidate& best);
  void SearchTiny(const Block& block, codec::Candidate& best) const;
  void Finish(const Block& block, const int16_t* unit, const float* maxima, codec::Candidate& best);
  void Evaluate(const Block& block, codec::Candidate& best);
  float Threshold(const codec::BlockTask& task, const codec::Candidate& best) const;

  const SearchKernels& kernels_;
  const codec::Profile& profile_;
  const codec::Fit fit_;
  const search::BoundTable& table_;
  const search::SeedTable& seed_table_;
  FinishTask finish_;
  std::vector<Block> blocks_;  // that are scanned together
  std::vector<int16_t> unit_;  // [blocks, C], scaled to BoundTable::block_unit()
  std::vector<float> maxima_;
  std::vector<uint32_t> seeds_;                        // that wait to be finished
  std::vector<std::pair<double, uint32_t>> by_bound_;  // seeds, by codec::LinearBound
  float scores_[search::kChunk];
};

}  // namespace seedlm::cpu
