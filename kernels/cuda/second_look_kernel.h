// A second look at the queue, before its entries are evaluated: the best-scored of a block often
// lowers the error so far that the others no longer matter.
//
//   RescoreKernel     a thread an entry: its score in float32; drops what FirstKernel has evaluated
//   AgainKernel       a thread a block: evaluates the best-scored of its entries
//   FilterKernel      a thread an entry: drops what can no longer matter
#pragma once

#include <cstdint>

#include "kernels/cuda/seed_search_kernel.h"

namespace seedlm::cuda {

template <class S>
__global__ void RescoreKernel(TableView tables, int64_t count, Workspace work) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = GlobalThread(); i < work.queue_end(); i += step) {
    const uint32_t block = work.queue_block[i];
    const uint32_t seed = work.queue_seed[i];
    if (IsTop(work, count, block, seed)) {
      work.queue_block[i] = kNone;
      continue;
    }
    float unit[S::kBlock];
    LoadUnit<S>(work, count, block, unit);
    const float score = SeedBasis<S>(tables, seed).Score(unit);
    work.queue_scores[i] = score;
    atomicMax(&work.tops[block],
              static_cast<unsigned long long>(__float_as_uint(score)) << 32 | seed);
  }
}

template <class S>
__global__ void AgainKernel(TableView tables, SearchTask task, Workspace work) {
  const int64_t index = GlobalThread();
  if (index >= task.count || work.tops[index] == 0) return;
  const codec::BlockTask block = TaskAt<S>(task, index);
  const CodeWord first = work.first_code[index];
  codec::Candidate best{ErrorOf(work.first_error[index]), SeedOf(first), RemainderOf(first)};
  Evaluate<S>(tables, task, block, static_cast<uint32_t>(work.tops[index]), best);
  work.thresholds[index] = ScoreNeeded(tables, block, best.error);
  work.first_error[index] = work.least_error[index] = BitsOf(best.error);
  work.first_code[index] = MakeCodeWord(best.seed, best.remainder);
}

template <class S>
__global__ void FilterKernel(Workspace work) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = GlobalThread(); i < work.queue_end(); i += step) {
    const uint32_t block = work.queue_block[i];
    if (block == kNone) continue;
    if (work.queue_scores[i] < work.thresholds[block] ||
        work.queue_seed[i] == static_cast<uint32_t>(work.tops[block])) {
      work.queue_block[i] = kNone;
    }
  }
}

}  // namespace seedlm::cuda
