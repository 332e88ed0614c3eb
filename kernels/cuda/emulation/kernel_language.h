// CUDA's words for g++: kernels that use nothing beyond these compile unchanged. The names are
// CUDA's, hence the macros and the functions outside of any namespace of ours.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cuda/emulation/fibres.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)

using dim3 = seedlm::cuda::emulation::Dim3;

#define threadIdx (seedlm::cuda::emulation::ThreadIndex())
#define blockIdx (seedlm::cuda::emulation::BlockIndex())
#define blockDim (seedlm::cuda::emulation::BlockSize())
#define gridDim (seedlm::cuda::emulation::GridSize())

struct alignas(16) float4 {
  float x, y, z, w;
};

struct alignas(8) uint2 {
  uint32_t x, y;
};

struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

inline void __syncthreads() { seedlm::cuda::emulation::SyncThreads(); }
inline void __syncwarp(unsigned mask = ~0u) { seedlm::cuda::emulation::Ballot(mask, false); }

template <typename T>
inline T __shfl_sync(unsigned mask, T value, int lane) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = seedlm::cuda::emulation::Exchange(mask, bits, lane);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <typename T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return __shfl_sync(mask, value, seedlm::cuda::emulation::LaneIndex() ^ bits);
}
template <typename T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta) {
  return __shfl_sync(mask, value, seedlm::cuda::emulation::LaneIndex() - static_cast<int>(delta));
}
inline unsigned __ballot_sync(unsigned mask, bool value) {
  return seedlm::cuda::emulation::Ballot(mask, value);
}
inline bool __any_sync(unsigned mask, bool value) { return __ballot_sync(mask, value) != 0; }

template <typename T>
inline T atomicAdd(T* at, T value) {
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}
template <typename T>
inline T atomicMin(T* at, T value) {
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (value < old &&
         !__atomic_compare_exchange_n(at, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}

template <typename T>
inline T atomicMax(T* at, T value) {
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (old < value &&
         !__atomic_compare_exchange_n(at, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <typename T>
inline T atomicCAS(T* at, T expected, T value) {
  __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
template <typename T>
inline T atomicExch(T* at, T value) {
  return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);
}
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

inline unsigned __reduce_max_sync(unsigned mask, unsigned value) {
  for (int step = seedlm::cuda::emulation::kWarp / 2; step > 0; step /= 2) {
    const unsigned other = __shfl_xor_sync(mask, value, step);
    value = other > value ? other : value;
  }
  return value;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline unsigned __funnelshift_r(unsigned low, unsigned high, int shift) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (shift & 31));
}
inline int __ffs(int bits) { return __builtin_ffs(bits); }

// Compiled without contraction, so rounded twice where the device rounds once: what the kernels may
// rely on covers both (see device.h).
inline float __fmaf_rn(float a, float b, float c) { return a * b + c; }

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline long long __double_as_longlong(double value) {
  long long bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline double __longlong_as_double(long long bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
