// The one door to CUDA: its runtime, or with SEEDLM_CUDA_EMULATION the emulation of it
// (emulation/), so that all of this room compiles with g++ and its kernels run on every machine.
// Kernels keep to what emulation/kernel_language.h knows; what cannot (inline PTX) is left out
// there, and says so.
#pragma once

#include <cstddef>

#if defined(SEEDLM_CUDA_EMULATION)
#include "kernels/cuda/emulation/runtime_api.h"
#define SEEDLM_UNROLL
#else
#include <cuda_runtime.h>
#define SEEDLM_UNROLL _Pragma("unroll")
#endif

namespace seedlm::cuda {

// Kernels, for the compilers that can.
#if defined(__CUDACC__) || defined(SEEDLM_CUDA_EMULATION)
inline constexpr unsigned kWholeWarp = 0xFFFFFFFFu;
inline constexpr int kWarpSize = 32;

// How a kernel is started. `shared_bytes`: dynamic shared memory of a block, see SharedMemory.
struct LaunchShape {
  int grid_x = 1;
  int grid_y = 1;
  int threads = 1;
  size_t shared_bytes = 0;
};

// Queues kernel(args...) on `stream`; does not synchronise. An empty grid is nothing to do. Errors
// of the launch are returned, those of the execution by a later call, as CUDA does.
template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), const LaunchShape& shape, cudaStream_t stream,
                   Arguments... arguments) {
  if (shape.grid_x == 0 || shape.grid_y == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>(shape.grid_x), static_cast<unsigned>(shape.grid_y));
  const dim3 block(static_cast<unsigned>(shape.threads));
#if defined(__CUDACC__)
  constexpr size_t kWithoutAsking = size_t{48} << 10;
  if (shape.shared_bytes > kWithoutAsking) {
    const cudaError_t allowed = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes));
    if (allowed != cudaSuccess) return allowed;
  }
  // Not <<<>>> and cudaGetLastError, which returns what an earlier call of this thread has failed
  // with, such as an allocation that was one too many.
  const auto launch = [&](Parameters... values) {
    void* pointers[] = {&values...};
    return cudaLaunchKernel(kernel, grid, block, pointers, shape.shared_bytes, stream);
  };
  return launch(static_cast<Parameters>(arguments)...);
#else
  return emulation::Enqueue(stream, grid, block, shape.shared_bytes,
                            [=] { kernel(static_cast<Parameters>(arguments)...); });
#endif
}

// The dynamic shared memory of the block, as what the kernel keeps there.
template <typename T>
__device__ T& SharedMemory() {
#if defined(__CUDACC__)
  extern __shared__ __align__(16) unsigned char seedlm_shared_memory[];
  return *reinterpret_cast<T*>(seedlm_shared_memory);
#else
  return *static_cast<T*>(emulation::DynamicShared());
#endif
}

// a * b + c in float32, rounded once on a device and twice in the emulation: margins count two.
__device__ inline float MulAdd(float a, float b, float c) { return __fmaf_rn(a, b, c); }

#endif

}  // namespace seedlm::cuda
