// Codes to weights on the device, and the loss of codes against their source. Both are bound by
// memory: 4bit reads 4 bytes and writes 16 (16-bit elements) a block, so an H200 (4.8 TB/s) decodes
// at most 2.4e11 blocks/s; a block takes 164 instructions, 121 of them integer ones, 1.4e11
// blocks/s at 132 * 64 lanes of 1.98 GHz: the registers' shifts, not the memory, are the tighter
// bound.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/backend/shard.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/shape.h"
#include "kernels/cuda/block_decoder.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/device.h"

#if !defined(SEEDLM_CUDA_EMULATION)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

namespace seedlm::cuda {

using backend::WeightType;

__device__ inline float LoadElement(WeightType type, const void* from, int64_t at) {
  if (type == WeightType::kF32) return static_cast<const float*>(from)[at];
  const uint16_t bits = static_cast<const uint16_t*>(from)[at];
  return type == WeightType::kF16 ? codec::FromFloat16(bits) : codec::FromBfloat16(bits);
}

template <class S>
__device__ inline uint32_t LevelAt(const PlanesView& planes, int64_t row, int64_t block) {
  if (S::profile().level_in_word()) return 0;
  const int64_t row_bytes = codec::LevelRowBytes(S::profile(), planes.blocks_per_row);
  return codec::GetLevelNibble(planes.levels + row * row_bytes, block);
}

template <class S>
__device__ inline codec::BlockCode CodeAt(const PlanesView& planes, int64_t row, int64_t block) {
  return codec::UnpackWord(S::profile(), planes.words[row * planes.blocks_per_row + block],
                           LevelAt<S>(planes, row, block));
}

// Two elements of 16 bits, the first in the low half; rounded to nearest even as by codec/narrow.h,
// but for the bits of a NaN, which levels, being finite, never give.
template <WeightType type>
__device__ inline uint32_t NarrowPair(float first, float second) {
#if defined(SEEDLM_CUDA_EMULATION)
  return type == WeightType::kF16
             ? codec::ToFloat16(first) | static_cast<uint32_t>(codec::ToFloat16(second)) << 16
             : codec::ToBfloat16(first) | static_cast<uint32_t>(codec::ToBfloat16(second)) << 16;
#else
  uint32_t bits;
  if (type == WeightType::kF16) {
    const __half2 pair = __floats2half2_rn(first, second);
    memcpy(&bits, &pair, sizeof bits);
  } else {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
    memcpy(&bits, &pair, sizeof bits);
  }
  return bits;
#endif
}

// Elements as they are stored; 16 bytes at a time, or 8 where that does not go up, if a block's
// place allows.
template <class S, WeightType type>
struct Elements {
  static constexpr bool kWide = type == WeightType::kF32;
  static constexpr int kWords = kWide ? S::kBlock : S::kBlock / 2;
  static constexpr int kTogether = kWords % 4 == 0 ? 4 : 2;
  using Vector = std::conditional_t<kTogether == 4, uint4, uint2>;
  uint32_t words[kWords];

  __device__ explicit Elements(const float* weights) {
    SEEDLM_UNROLL
    for (int i = 0; i < kWords; ++i) {
      if constexpr (kWide) {
        words[i] = codec::FloatBits(weights[i]);
      } else {
        words[i] = NarrowPair<type>(weights[2 * i], weights[2 * i + 1]);
      }
    }
  }

  __device__ void Store(void* to, int64_t place, int64_t count) const {
    if (count >= S::kBlock && place * (kWide ? 4 : 2) % static_cast<int>(sizeof(Vector)) == 0) {
      auto* at = reinterpret_cast<Vector*>(static_cast<char*>(to) + place * (kWide ? 4 : 2));
      SEEDLM_UNROLL
      for (int i = 0; i < kWords; i += kTogether) {
        if constexpr (kTogether == 4) {
          at[i / 4] = {words[i], words[i + 1], words[i + 2], words[i + 3]};
        } else {
          at[i / 2] = {words[i], words[i + 1]};
        }
      }
      return;
    }
    SEEDLM_UNROLL
    for (int c = 0; c < S::kBlock; ++c) {
      if (c >= count) break;
      if (kWide) {
        static_cast<uint32_t*>(to)[place + c] = words[c % kWords];
      } else {
        static_cast<uint16_t*>(to)[place + c] =
            static_cast<uint16_t>(words[c / 2 % kWords] >> (16 * (c % 2)));
      }
    }
  }
};

// Grid (rows, parts of a row): no division for each block. weights: [rows][columns] elements,
// 16-byte aligned.
template <class S, WeightType type>
__global__ void DecodeKernel(PlanesView planes, void* weights) {
  const int64_t row = blockIdx.x;
  const int64_t step = int64_t{gridDim.y} * blockDim.x;
  for (int64_t block = int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
       block < planes.blocks_per_row; block += step) {
    float decoded[S::kBlock];
    DecodeWord<S>(planes.words[row * planes.blocks_per_row + block], LevelAt<S>(planes, row, block),
                  planes.scale, decoded);
    const int64_t first = block * S::kBlock;
    Elements<S, type>(decoded).Store(weights, row * planes.columns + first, planes.columns - first);
  }
}

// A thread block a row: each thread sums its blocks in their order, then the threads' sums are
// added in theirs. comparisons: [rows].
template <class S>
__global__ void CompareKernel(PlanesView planes, WeightType type, const void* original,
                              Comparison* comparisons) {
  Comparison* shared = &SharedMemory<Comparison>();  // [blockDim.x]
  const int64_t row = blockIdx.x;
  Comparison sum = {};
  for (int64_t block = threadIdx.x; block < planes.blocks_per_row; block += blockDim.x) {
    float decoded[codec::kMaxBlock];
    codec::DecodeBlock(S::profile(), CodeAt<S>(planes, row, block), planes.scale, decoded);
    const int64_t first = block * S::kBlock;
    for (int c = 0; c < S::kBlock; ++c) {
      if (first + c >= planes.columns) break;
      const double w = LoadElement(type, original, row * planes.columns + first + c);
      const double difference = w - double{decoded[c]};
      sum.squared_difference += difference * difference;
      sum.squared_original += w * w;
      sum.max_difference = fmax(sum.max_difference, fabs(difference));
    }
  }
  shared[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (unsigned i = 1; i < blockDim.x; ++i) {
    sum.squared_difference += shared[i].squared_difference;
    sum.squared_original += shared[i].squared_original;
    sum.max_difference = fmax(sum.max_difference, shared[i].max_difference);
  }
  comparisons[row] = sum;
}

}  // namespace seedlm::cuda
