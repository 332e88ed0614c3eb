// The search through the cell index: a block looks only at the seeds that its cell's list puts
// within reach. search/cell_index.h says why the result is exact all the same.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/backend/shard.h"
#include "kernels/codec/seed_search.h"
#include "kernels/cpu/cell_filing.h"
#include "kernels/cpu/encode_shard.h"
#include "kernels/cpu/exhaustive_search.h"
#include "kernels/cpu/list_builder.h"
#include "kernels/cpu/search_kernels.h"
#include "kernels/search/cell_index.h"
#include "kernels/search/seed_table.h"

namespace seedlm::cpu {

// What a search did, over all batches.
struct IndexStatistics {
  int64_t blocks = 0;
  int64_t exhaustive = 0;  // of them, those that needed the scan of all seeds
  int64_t visits = 0;      // of cells
  int64_t lists_built = 0;
  int64_t fetched = 0;   // rows of seeds
  int64_t scored = 0;    // (block, seed) pairs, by lists
  int64_t finished = 0;  // (block, seed) pairs whose codes were searched

  std::string ToString() const;
};

// Not thread-safe: buffers are reused; several may share one CellIndex. What it is made from must
// outlive it.
class IndexSearch {
 public:
  // `spec` is one of those of the sections to come, which differ in nothing but their levels.
  // REQUIRES: its profile is the index's and has resolutions.
  IndexSearch(const SearchKernels& kernels, const backend::EncodeSpec& spec,
              search::CellIndex& index);

  // Encodes `batch`: files its blocks by cell, builds the lists that pay, searches cell by cell,
  // and scans exhaustively for the blocks that have no list, or one that is too short for them.
  // CANCELLED soon after `stop`.
  absl::Status Run(const Batch& batch, std::span<const Section> sections, std::stop_token stop);

  const IndexStatistics& statistics() const { return statistics_; }

 private:
  using List = search::CellIndex::List;

  struct Item {
    PreparedBlock block;
    uint32_t place;
    const backend::EncodeSpec* spec;
    int prefix;    // of the list, as expected; then, as scored
    double share;  // sin^2 alpha within which its seeds were collected
    uint32_t top;  // the seed of the largest score
    // Seeds that wait to be finished: candidates_[first, last).
    size_t first, last;
  };
  // Room for the scores of some blocks.
  struct ScoreBuffer {
    search::AlignedFloats scores, peaks;
    size_t stride = 0;

    void Reserve(size_t blocks, size_t count);
    Scores At(size_t block);
  };

  const backend::EncodeSpec& SpecOf(uint32_t place) const;
  absl::Status ScanRest(const Batch& batch, std::stop_token stop);
  void SearchCell(const Batch& batch, const CellFiling::Visit& visit, const List& list);
  void LoadItem(const Batch& batch, uint32_t place, const double* centre, const List& list,
                Item& item);
  const uint16_t* SeedsOf(const List& list, int count);
  void LoadUnit(const Item& item);
  void FetchRows(const uint16_t* seeds, int count, search::AlignedWords& tiles);
  void ScoreRows(const int32_t* tiles, int count, size_t first, size_t blocks, const Scores& out);
  size_t TileStart(int seed) const;
  void PrefetchVisit(const Batch& batch, size_t visit);
  void PrefetchSome(size_t count);
  void SearchGroup(const Batch& batch, const List& list, std::span<const uint64_t> order);
  bool Extend(Item& item, size_t place, const List& list, codec::Candidate& best);
  void Collect(Item& item, const uint16_t* seeds, const Scores& scores, int count, double share);
  void Finish(const Item& item, codec::Candidate& best);
  double Share(const Item& item, const codec::Candidate& best) const;
  float Threshold(const Item& item, double share) const;

  const SearchKernels& kernels_;
  const codec::Profile& profile_;
  const codec::Fit fit_;
  search::CellIndex& index_;
  const search::SeedTable& seeds_;
  const bool by_bytes_;  // whether rows of bytes are scored
  ExhaustiveSearch exhaustive_;
  CellFiling filing_;
  ListBuilder lists_;
  double expected_share_;  // sin^2 alpha of the blocks so far
  IndexStatistics statistics_;

  // Of the batch: its sections, where each ends (the place behind its last), and the places for the
  // exhaustive scan.
  std::span<const Section> sections_;
  std::vector<uint32_t> section_ends_;
  std::vector<uint32_t> rest_;
  std::vector<Item> items_;              // of a visit, and memory for larger ones
  std::vector<uint64_t> order_;          // of a visit: prefix << 32 | item, descending
  std::vector<int16_t> units_;           // [kStage, C], w / |w| * SeedTable::kRowUnit
  std::vector<ByteBlock> byte_units_;    // [kStage], if by_bytes_
  int fetched_ = 0;                      // seeds of the visit's list in tiles_
  std::vector<uint16_t> decoded_seeds_;  // of a visit's list, where that is coded
  int decoded_ = 0;                      // how many
  // Seeds of the next visit whose rows are still to be asked for, and how many at each block.
  std::span<const uint16_t> ahead_;
  size_t ahead_a_block_ = 0;
  search::AlignedWords tiles_, more_tiles_;
  ScoreBuffer scores_, more_scores_;
  std::vector<uint32_t> places_;      // in a list
  std::vector<uint32_t> candidates_;  // seeds
};

}  // namespace seedlm::cpu
