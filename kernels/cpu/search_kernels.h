// The SIMD kernels of the searches, one set for each instruction set.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/codec/objective.h"
#include "kernels/cpu/finish.h"
#include "kernels/search/bound_table.h"

namespace seedlm::cpu {

// Scores are |z|^2 of unit-norm blocks, within BoundTable::margin(). For the scans of all seeds a
// block is C integers, w / |w| * BoundTable::block_unit() rounded.
struct SearchKernels {
  // maxima[b * table.chunks() + k] = the largest score in chunk k of block b.
  // `blocks`: [count, C].
  void (*chunk_maxima)(const search::BoundTable& table, const int16_t* blocks, int count,
                       float* maxima);
  // scores[0 .. kChunk) of one chunk of one block: the same values chunk_maxima saw.
  void (*chunk_scores)(const search::BoundTable& table, const int16_t* block, int chunk,
                       float* scores);
  // Improves `best` by the codes of seeds[0 .. count): the same result as codec::EvaluateSeed with
  // Fit::kOptimal for each of them. Best seeds first saves time.
  void (*finish)(const FinishTask& task, const uint32_t* seeds, int count, codec::Candidate& best);
};

// The instruction sets that this processor can run, best first.
std::vector<std::string> SupportedTargets();

// Kernels for one of them. REQUIRES: `target` is in SupportedTargets().
SearchKernels KernelsFor(const std::string& target);

}  // namespace seedlm::cpu
