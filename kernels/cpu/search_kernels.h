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
  int8_t weights[codec::kMaxBlock];  // round(127 / n u), n the largest |entry| of u
  int32_t offset;                    // -128 times their sum
  float scale;                       // (n / 127)^2
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
  // scores[b * stride + i] = kRowUnit^4 times the score of tile seed i, within row_margin().
  // `blocks`: [block_count, C], w / |w| * SeedTable::kRowUnit rounded. Scores are written, and must
  // be writable, up to RoundUp(count); the ones behind `count` are 0.
  void (*score_rows)(const codec::Profile& profile, const int32_t* tiles, int count,
                     const int16_t* blocks, int block_count, float* scores, size_t stride);
  // The same with byte rows, for tables that have them; null where an instruction set has no
  // products of bytes. Tiles have ByteTileWords(); scores are bounds of |z|^2, in its unit.
  void (*fetch_byte_rows)(const search::SeedTable& table, const uint16_t* seeds, int count,
                          int32_t* tiles);
  void (*score_byte_rows)(const codec::Profile& profile, const int32_t* tiles, int count,
                          const ByteBlock* blocks, int block_count, float* scores, size_t stride);

  // The first place of the largest of scores[0 .. count), and all places of at least `threshold`
  // (their number is returned). May look at, and find, what is behind `count` up to RoundUp().
  // `scores` lies at a cache line, `places` has room for RoundUp(count).
  int (*largest)(const float* scores, int count);
  int (*select)(const float* scores, int count, float threshold, uint32_t* places);

  // x[n] = 1 - scores[i] and kept[n] = seeds[i] for all i < count with scores[i] >= threshold, in
  // their order; how many they are is returned. `count` is a multiple of 16; up to 16 entries are
  // written behind the last.
  int (*keep)(const float* scores, const uint32_t* seeds, int count, float threshold, float* x,
              uint32_t* kept);

  // codec::MakeTask.
  codec::BlockTask (*make_task)(const codec::Profile& profile, const float* weights);
  // Improves `best` by the codes of seeds[0 .. count): the same result as codec::EvaluateSeed with
  // Fit::kOptimal for each of them. Best seeds first saves time.
  void (*finish)(const FinishTask& task, const uint32_t* seeds, int count, codec::Candidate& best);
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
