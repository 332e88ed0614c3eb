// What a device can do at most, measured: the ceilings that rates are compared with.
#pragma once

#include "kernels/cuda/device.h"

namespace seedlm::bench {

struct Ceilings {
  double fma_per_second = 0;           // float32 multiply-adds
  double tensor_flops_per_second = 0;  // of float16 products that are added in float32, by mma.sync
  double copy_bytes_per_second = 0;    // of device memory, read plus written
};

// `small`: sizes for an emulation and for compute-sanitizer; the figures mean nothing then. Errors:
// those of CUDA.
cudaError_t MeasureCeilings(int processors, bool small, Ceilings& ceilings);

}  // namespace seedlm::bench
