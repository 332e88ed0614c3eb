// The SIMD kernels of the exhaustive scan, one set for each instruction set.
#pragma once

#include <string>
#include <vector>

#include "kernels/search/bound_table.h"

namespace seedlm::cpu {

// Scores |z|^2 of unit-norm blocks against all seeds, within BoundTable::margin(). A block is C
// integers, w / |w| * BoundTable::block_unit() rounded.
struct ScanKernels {
  // maxima[b * table.chunks() + k] = the largest score in chunk k of block b.
  // `blocks`: [count, C].
  void (*chunk_maxima)(const search::BoundTable& table, const int16_t* blocks, int count,
                       float* maxima);
  // scores[0 .. kChunk) of one chunk of one block: the same values chunk_maxima saw.
  void (*chunk_scores)(const search::BoundTable& table, const int16_t* block, int chunk,
                       float* scores);
};

// The instruction sets that this processor can run, best first.
std::vector<std::string> SupportedTargets();

// Kernels for one of them. REQUIRES: `target` is in SupportedTargets().
ScanKernels KernelsFor(const std::string& target);

}  // namespace seedlm::cpu
