// Sums of squares on the device: the door of square_sums.cu.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

namespace seedlm::cuda {

inline constexpr int kSquareSumBlocks = 64;

// Queues for c [columns][2 rows], the device's: part[i][0] sums the squares of the first `rows` of
// each column, part[i][1] of the others; float64, kSquareSumBlocks parts, the same bits for the
// same input. Does not synchronise.
cudaError_t QueueSquareSums(const float* c, int64_t rows, int64_t columns, double (*parts)[2],
                            cudaStream_t stream);

}  // namespace seedlm::cuda
