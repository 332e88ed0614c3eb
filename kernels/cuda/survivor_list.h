// Survivors of a thread block on their way to the queue: they meet in shared memory, so that the
// queue's counter, one address for all processors, is asked once for hundreds of them.
#pragma once

#include <cstdint>

#include "kernels/cuda/seed_search_kernel.h"

namespace seedlm::cuda {

// Puts one entry into the queue; if it is full, the block is a hard one. Looks at the counter
// before it counts, so that it stays far from its end whatever survives.
__device__ inline void PushEntry(const Workspace& work, uint32_t* marks, uint32_t block,
                                 uint32_t seed) {
  if (*static_cast<volatile uint32_t*>(work.queue_size()) < work.queue_capacity) {
    const uint32_t place = atomicAdd(work.queue_size(), 1u);
    if (place < work.queue_capacity) {
      Count(Event::kAlone);
      work.queue_block[place] = block;
      work.queue_seed[place] = seed;
      return;
    }
  }
  MarkHard(work, marks, block);
}

// In shared memory. An entry: one of 2^16 blocks of the thread block's own numbering, a seed.
template <uint32_t kCapacity>
struct SurvivorList {
  uint32_t found;  // at most kCapacity of them are entries
  uint32_t begin;  // in the queue, while they are put there
  uint32_t entries[kCapacity];

  // Thread 0, before the first barrier.
  __device__ void Clear() { found = 0; }

  // False: there is no room.
  __device__ bool Push(uint32_t local_block, uint32_t seed) {
    const uint32_t place = atomicAdd(&found, 1u);
    if (place >= kCapacity) return false;
    entries[place] = local_block << 16 | seed;
    return true;
  }

  // All threads, behind a barrier after the last Push; another barrier before the next one.
  // block_of(local block): the block, which is a hard one if the queue has no room.
  template <typename BlockOf>
  __device__ void Flush(const Workspace& work, uint32_t* marks, const BlockOf& block_of) {
    if (found == 0) return;
    const uint32_t entries_here = found < kCapacity ? found : kCapacity;
    if (threadIdx.x == 0) {
      const bool full = *static_cast<volatile uint32_t*>(work.queue_size()) >= work.queue_capacity;
      begin = full ? work.queue_capacity : atomicAdd(work.queue_size(), entries_here);
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < entries_here; i += blockDim.x) {
      const uint32_t block = block_of(entries[i] >> 16);
      const uint32_t place = begin + i;
      if (place < work.queue_capacity) {
        work.queue_block[place] = block;
        work.queue_seed[place] = entries[i] & 0xFFFF;
      } else {
        MarkHard(work, marks, block);
      }
    }
    if (threadIdx.x == 0) Clear();
  }
};

}  // namespace seedlm::cuda
