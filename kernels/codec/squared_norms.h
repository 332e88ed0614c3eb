// |w|^2 of many blocks at once.
#pragma once

#include <cstdint>

#include "kernels/codec/profile.h"

namespace seedlm::codec {

// `blocks`: [count, C] floats. squared[i] has the bits of MakeTask's |w|^2 (seed_search.h). Each is
// a chain of C sums in order: eight chains at a time, so that they do not wait for themselves.
inline void SquaredNorms(const Profile& profile, const float* blocks, int64_t count,
                         double* squared) {
  constexpr int kTogether = 8;
  const int width = profile.block;
  int64_t i = 0;
  for (; i + kTogether <= count; i += kTogether) {
    const float* block = blocks + i * width;
    double sums[kTogether] = {};
    for (int c = 0; c < width; ++c) {
      for (int k = 0; k < kTogether; ++k) {
        const double w = block[k * width + c];
        sums[k] += w * w;
      }
    }
    for (int k = 0; k < kTogether; ++k) squared[i + k] = sums[k];
  }
  for (; i < count; ++i) {
    double sum = 0;
    for (int c = 0; c < width; ++c) {
      const double w = blocks[i * width + c];
      sum += w * w;
    }
    squared[i] = sum;
  }
}

}  // namespace seedlm::codec
