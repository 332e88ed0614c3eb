#include "kernels/cuda/square_sums.h"

namespace seedlm::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void SquareSumsKernel(const float* c, int64_t rows, int64_t count, double (*parts)[2]) {
  auto* shared = &SharedMemory<double[2]>();  // [kThreads][2]
  double sums[2] = {};
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    const double square = double{c[i]} * double{c[i]};
    if (i % (2 * rows) < rows) {
      sums[0] += square;
    } else {
      sums[1] += square;
    }
  }
  shared[threadIdx.x][0] = sums[0];
  shared[threadIdx.x][1] = sums[1];
  __syncthreads();
  if (threadIdx.x >= 2) return;
  double sum = 0;
  for (unsigned i = 0; i < blockDim.x; ++i) sum += shared[i][threadIdx.x];
  parts[blockIdx.x][threadIdx.x] = sum;
}

}  // namespace

cudaError_t QueueSquareSums(const float* c, int64_t rows, int64_t columns, double (*parts)[2],
                            cudaStream_t stream) {
  const LaunchShape shape{kSquareSumBlocks, 1, kThreads, kThreads * sizeof(double[2])};
  return Launch(SquareSumsKernel, shape, stream, c, rows, 2 * rows * columns, parts);
}

}  // namespace seedlm::cuda
