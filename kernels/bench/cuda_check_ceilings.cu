#include <algorithm>
#include <cstdint>

#include "kernels/bench/cuda_check_ceilings.h"
#include "kernels/bench/cuda_check_timer.h"
#include "kernels/cuda/tensor_tile.h"

namespace seedlm::bench {
namespace {

constexpr int kThreads = 256;
constexpr int kChains = 8;  // independent, so that latency is hidden

__global__ void FmaKernel(int steps, float* out) {
  float chain[kChains];
  const float factor = 1.0f + 1e-7f * static_cast<float>(threadIdx.x);
  SEEDLM_UNROLL
  for (int i = 0; i < kChains; ++i) chain[i] = static_cast<float>(i);
  for (int step = 0; step < steps; ++step) {
    SEEDLM_UNROLL
    for (int i = 0; i < kChains; ++i) chain[i] = cuda::MulAdd(chain[i], factor, 0.5f);
  }
  float sum = 0;
  SEEDLM_UNROLL
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  out[int64_t{blockIdx.x} * blockDim.x + threadIdx.x] = sum;  // or the compiler removes it all
}

// Products of the same shape as the search's, from registers.
__global__ void MmaKernel(int steps, float* out) {
  const cuda::FragmentA a = {{threadIdx.x, 1, 2, 3}};
  const cuda::FragmentB b = {{4, threadIdx.x}};
  cuda::FragmentD chain[kChains] = {};
  for (int step = 0; step < steps; ++step) {
    SEEDLM_UNROLL
    for (int i = 0; i < kChains; ++i) cuda::MultiplyAccumulate(chain[i], a, b);
  }
  float sum = 0;
  SEEDLM_UNROLL
  for (int i = 0; i < kChains; ++i) sum += chain[i].at[0] + chain[i].at[3];
  out[int64_t{blockIdx.x} * blockDim.x + threadIdx.x] = sum;
}
constexpr double kMmaFlops = 2.0 * 16 * 8 * 16;  // of a warp's product

}  // namespace

cudaError_t MeasureCeilings(int processors, bool small, Ceilings& ceilings) {
  constexpr int kRepeats = 5;
  const int steps = small ? 4 : 1 << 14;
  const int blocks = small ? 1 : 16 * processors;
  const size_t bytes = small ? size_t{1} << 16 : size_t{1} << 30;
  void* first = nullptr;
  void* second = nullptr;
  cudaStream_t stream = nullptr;
  cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  if (error == cudaSuccess) error = cudaMalloc(&first, bytes);
  if (error == cudaSuccess) error = cudaMalloc(&second, bytes);
  if (error == cudaSuccess) error = cudaMemsetAsync(first, 0, bytes, stream);
  Timer timer(stream);
  double fma_seconds = 1e30, mma_seconds = 1e30, copy_seconds = 1e30;
  for (int i = 0; i < kRepeats && error == cudaSuccess; ++i) {
    double seconds = 0;
    error = timer.Time(
        [&] {
          return cuda::Launch(FmaKernel, {blocks, 1, kThreads}, stream, steps,
                              static_cast<float*>(first));
        },
        seconds);
    fma_seconds = std::min(fma_seconds, seconds);
    if (error != cudaSuccess) break;
    error = timer.Time(
        [&] {
          return cuda::Launch(MmaKernel, {blocks, 1, kThreads}, stream, steps,
                              static_cast<float*>(first));
        },
        seconds);
    mma_seconds = std::min(mma_seconds, seconds);
    if (error != cudaSuccess) break;
    error = timer.Time(
        [&] { return cudaMemcpyAsync(second, first, bytes, cudaMemcpyDeviceToDevice, stream); },
        seconds);
    copy_seconds = std::min(copy_seconds, seconds);
  }
  cudaFree(first);
  cudaFree(second);
  if (stream != nullptr) cudaStreamDestroy(stream);
  const double rounds = static_cast<double>(blocks) * kThreads * kChains * steps;
  ceilings.fma_per_second = rounds / fma_seconds;
  ceilings.tensor_flops_per_second = rounds / cuda::kWarpSize * kMmaFlops / mma_seconds;
  ceilings.copy_bytes_per_second = 2.0 * static_cast<double>(bytes) / copy_seconds;
  return error;
}

}  // namespace seedlm::bench
