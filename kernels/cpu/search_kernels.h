// The SIMD kernels of the searches, one set for each instruction set.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/codec/objective.h"
#include "kernels/cpu/finish.h"
#include "kernels/search/bound_table.h"

namespace seedlm::cpu {

// A block for scores of byte rows (SeedTable::byte_row).
struct ByteBlock {
  int8_t weights[codec::kMaxBlock];  // round(m / n u), n the largest |entry| of u; m: 64 or 127
  int32_t offset;                    // -128 times their sum
  float scale;                       // (n / m)^2
};

// A block as the search of a cell's list needs it; u = w / |w|.
struct PreparedBlock {
  FinishTask finish;
  double cosine;                    // |cos| of the angle between u and the cell's centre
  double slack;                     // by which a computed score may be too low
  int16_t pairs[codec::kMaxBlock];  // u * SeedTable::kRowUnit rounded, for score_rows
  ByteBlock bytes;                  // for score_byte_rows
};

// Where scores go, and in `peaks` what saves looking at all of them: of each run of kRun vectors,
// the largest score of each lane. Both lie at cache lines. A run of 16-lane vectors is 128 scores.
struct Scores {
  static constexpr size_t kRun = 8;
  float* scores;  // [blocks, stride]
  float* peaks;   // [blocks, stride / kRun]
  size_t stride;  // a multiple of 16 kRun; 0 for a single block
};

// Scores are |z|^2 of unit-norm blocks, within BoundTable::margin(). For the scans of all seeds a
// block is C integers, w / |w| * BoundTable::block_unit() rounded.
struct SearchKernels {
  // maxima[b * table.chunks() + k] = the largest score in chunk k of block b.
  // `blocks`: [count, C].
  void (*chunk_maxima)(const search::BoundTable& table, const int16_t* blocks, int count,
                       float* maxima);
  // scores[b * kChunk + i] of a chunk of `count` blocks: the same values chunk_maxima saw.
  void (*chunk_scores)(const search::BoundTable& table, const int16_t* blocks, int count, int chunk,
                       float* scores);

  // Rows of the seeds of a list, turned so that they can be scored: `tiles`, TileWords() words.
  // Profiles with cells only (4bit, 3bit, 4.5bit).
  void (*fetch_rows)(const search::SeedTable& table, const uint16_t* seeds, int count,
                     int32_t* tiles);
  // out.scores[b * stride + i] = kRowUnit^4 times the score of tile seed i, within row_margin().
  // `blocks`: [block_count, C], w / |w| * SeedTable::kRowUnit rounded. Scores are written, and must
  // be writable, up to RoundUp(count); the ones behind `count` are 0.
  void (*score_rows)(const codec::Profile& profile, const int32_t* tiles, int count,
                     const int16_t* blocks, int block_count, const Scores& out);
  // The same with byte rows, for tables that have them; null where an instruction set has no
  // products of bytes. Tiles have ByteTileWords(); scores are bounds of |z|^2, in its unit.
  void (*fetch_byte_rows)(const search::SeedTable& table, const uint16_t* seeds, int count,
                          int32_t* tiles);
  void (*score_byte_rows)(const codec::Profile& profile, const int32_t* tiles, int count,
                          const ByteBlock* blocks, int block_count, const Scores& out);

  // The first place of the largest of the first block's scores[0 .. count), and all places of at
  // least `threshold` (their number is returned). May look at, and find, what is behind `count` up
  // to RoundUp(). `places` has room for RoundUp(count).
  int (*largest)(const Scores& scores, int count);
  int (*select)(const Scores& scores, int count, float threshold, uint32_t* places);

  // x[n] = 1 - scores[i] and kept[n] = seeds[i] for all i < count with scores[i] >= threshold, in
  // their order; how many they are is returned. `count` is a multiple of 16; up to 16 entries are
  // written behind the last.
  int (*keep)(const float* scores, const uint32_t* seeds, int count, float threshold, float* x,
              uint32_t* kept);

  // keys[i] = CellKey of the lattice point nearest to radius * w / |w| of the block at places[i],
  // as search/lattice.h finds it; squared_norms[i] = |w|^2, that of codec::MakeTask.
  void (*cell_keys)(const codec::Profile& profile, const float* weights, const uint32_t* places,
                    int count, double radius, uint64_t* keys, double* squared_norms);
  // The first `count` seeds of a list of gaps: search::CellIndex::Coding::kGaps.
  void (*decode_gaps)(const uint16_t* begin, const uint8_t* code, int count, uint16_t* seeds);

  // What finishing needs of a block of C weights, not all 0; and what searching its cell needs, in
  // `pairs` or in `bytes`. `centre`: of unit norm, [C]. What is pointed to is not copied.
  void (*prepare)(const codec::Profile& profile, const codec::LevelTable& levels,
                  const search::SeedTable& seeds, const float* weights, FinishTask& task);
  void (*prepare_for_cell)(const codec::Profile& profile, const codec::LevelTable& levels,
                           const search::SeedTable& seeds, const float* weights,
                           const double* centre, bool by_bytes, PreparedBlock& out);
  // Improves `best` by the codes of seeds[0 .. count): the same result as codec::EvaluateSeed with
  // Fit::kOptimal for each of them. Best seeds first saves time.
  void (*finish)(const FinishTask& task, const uint32_t* seeds, int count, codec::Candidate& best);
  // backend::IsBestOfItsSeed of the task's block, with Fit::kOptimal.
  bool (*is_best_of_seed)(const FinishTask& task, const codec::BlockCode& code);
};

// `count` to whole vectors of any instruction set, and the words of so many tile columns.
constexpr size_t RoundUp(size_t count) { return (count + 15) / 16 * 16; }
constexpr size_t TileWords(const codec::Profile& profile, size_t count) {
  return RoundUp(count) * static_cast<size_t>(profile.block * profile.rank / 2);
}
constexpr size_t ByteTileWords(size_t count) { return RoundUp(count) * 16; }

// The instruction sets that this processor can run, best first.
std::vector<std::string> SupportedTargets();

// Kernels for one of them. REQUIRES: `target` is in SupportedTargets().
SearchKernels KernelsFor(const std::string& target);

}  // namespace seedlm::cpu
