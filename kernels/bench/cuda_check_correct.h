// The correctness half of cuda_check: a device against the reference and against itself.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "kernels/cuda/device.h"

namespace seedlm::bench {

struct CheckSizes {
  int64_t reference_blocks;  // of each profile, fit and scale, encoded by the reference on the host
  int64_t blocks;            // of each profile, where the rungs are compared with each other
  int64_t gemm_blocks;
  int threads;  // of the host
  bool all;     // every fit, scale and plan; else a few, tensor cores for 4bit only
};

// One JSON object a check: what, blocks, differences, and for a GEMM that was not run why. Sets
// `failed` if anything differs. Errors: those of CUDA, after which nothing more was checked.
cudaError_t CheckAll(const CheckSizes& sizes, int processors, nlohmann::ordered_json& checks,
                     bool& failed);

}  // namespace seedlm::bench
