// What a search does, counted where it is emulated: the work that does not depend on the grid. On a
// device Count is nothing.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

#if defined(SEEDLM_CUDA_EMULATION)
#include <array>
#include <atomic>
#endif

namespace seedlm::cuda {

enum class Event : uint8_t {
  kQueued,     // entries of the queue
  kAlone,      // of them those that no list in shared memory had room for
  kEvaluated,  // of them those that were left to be evaluated
  kHard,       // hard blocks
  kHardScore,  // seeds that were scored for them
  kHardSeed,   // seeds that were evaluated for them
};

#if defined(SEEDLM_CUDA_EMULATION)

inline std::array<std::atomic<int64_t>, 6> event_counts;  // of the process

inline void Count(Event event, int64_t times = 1) {
  event_counts[static_cast<size_t>(event)].fetch_add(times, std::memory_order_relaxed);
}

#elif defined(__CUDACC__)

__device__ inline void Count(Event, int64_t = 1) {}

#endif

}  // namespace seedlm::cuda
