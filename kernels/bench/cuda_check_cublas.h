// The score as a matrix product, <P_s, w w^T> with P_s = Q Q^T, by cuBLAS: a computation that
// shares nothing with the search but the bases. cuBLAS is opened at run time, where there is one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/codec/profile.h"
#include "kernels/cuda/device.h"

namespace seedlm::bench {

// For each block the seed with the largest score, and that score relative to |w|^2.
struct GemmResult {
  std::string skipped;  // why it was not run; "": it was
  std::vector<uint32_t> seeds;
  std::vector<float> scores;
  double seconds = 0;  // of the products, not of the search for the largest
};

// `blocks`: [count][C] on the host. Errors of CUDA are returned; a missing cuBLAS is `skipped`.
cudaError_t ScoreByGemm(const codec::Profile& profile, const std::vector<float>& blocks,
                        GemmResult& result);

}  // namespace seedlm::bench
