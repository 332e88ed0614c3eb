// What the 32 lanes of a warp do together. All lanes take part in every call.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

namespace seedlm::cuda {

__device__ inline int Lane() { return static_cast<int>(threadIdx.x) % kWarpSize; }
__device__ inline int WarpOfBlock() { return static_cast<int>(threadIdx.x) / kWarpSize; }

// A score and where it is.
struct Peak {
  float score;
  int place;
};

// The largest score; of equals the least place. Of `groups` of lanes, a power of two, each its own:
// lane % groups.
template <int groups = 1>
__device__ inline Peak WarpPeak(Peak peak) {
  SEEDLM_UNROLL
  for (int step = kWarpSize / 2; step >= groups; step /= 2) {
    const Peak other{__shfl_xor_sync(kWholeWarp, peak.score, step),
                     __shfl_xor_sync(kWholeWarp, peak.place, step)};
    if (other.score > peak.score || (other.score == peak.score && other.place < peak.place)) {
      peak = other;
    }
  }
  return peak;
}

// An error's bits (non-negative floats are ordered as their bits) and a code word.
struct Found {
  unsigned long long error;
  unsigned long long code;
};

__device__ inline Found WarpLeast(Found found) {
  SEEDLM_UNROLL
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    const Found other{__shfl_xor_sync(kWholeWarp, found.error, step),
                      __shfl_xor_sync(kWholeWarp, found.code, step)};
    if (other.error < found.error || (other.error == found.error && other.code < found.code)) {
      found = other;
    }
  }
  return found;
}

// Appends the `value` of every lane that has `keep` to list[size ..), in the order of lanes; what
// is beyond `capacity` is counted, not written. Returns the new size.
template <typename T>
__device__ inline int WarpAppend(T* list, int size, int capacity, bool keep, T value) {
  const unsigned kept = __ballot_sync(kWholeWarp, keep);
  const int place = size + __popc(kept & ((1u << Lane()) - 1));
  if (keep && place < capacity) list[place] = value;
  return size + __popc(kept);
}

}  // namespace seedlm::cuda
