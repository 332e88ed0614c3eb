// Codes to weights on the device, and the loss of codes against their source. Both are bound by
// memory: 4bit reads 4 bytes and writes 16 (16-bit elements) a block, so an H200 (4.8 TB/s) decodes
// at most 2.4e11 blocks/s; a block takes some 200 instructions, 1.3e11 blocks/s at 132 * 128 lanes
// of 1.98 GHz: the registers' shifts, not the memory, are the tighter bound.
#pragma once

#include <cstdint>

#include "kernels/backend/shard.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/shape.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/device.h"

namespace seedlm::cuda {

using backend::WeightType;

__device__ inline float LoadElement(WeightType type, const void* from, int64_t at) {
  if (type == WeightType::kF32) return static_cast<const float*>(from)[at];
  const uint16_t bits = static_cast<const uint16_t*>(from)[at];
  return type == WeightType::kF16 ? codec::FromFloat16(bits) : codec::FromBfloat16(bits);
}

template <class S>
__device__ inline codec::BlockCode CodeAt(const PlanesView& planes, int64_t row, int64_t block) {
  uint32_t level = 0;
  if (!S::profile().level_in_word()) {
    const int64_t row_bytes = codec::LevelRowBytes(S::profile(), planes.blocks_per_row);
    level = codec::GetLevelNibble(planes.levels + row * row_bytes, block);
  }
  return codec::UnpackWord(S::profile(), planes.words[row * planes.blocks_per_row + block], level);
}

// Elements as they are stored; 16 bytes at a time where a block's place allows.
template <class S, WeightType type>
struct Elements {
  static constexpr bool kWide = type == WeightType::kF32;
  static constexpr int kWords = kWide ? S::kBlock : S::kBlock / 2;
  uint32_t words[kWords];

  __device__ explicit Elements(const float* weights) {
    SEEDLM_UNROLL
    for (int i = 0; i < kWords; ++i) {
      words[i] = kWide ? codec::FloatBits(weights[i])
                       : Narrow(weights[2 * i]) | Narrow(weights[2 * i + 1]) << 16;
    }
  }
  __device__ static uint32_t Narrow(float w) {
    return type == WeightType::kF16 ? codec::ToFloat16(w) : codec::ToBfloat16(w);
  }

  __device__ void Store(void* to, int64_t place, int64_t count) const {
    if (count >= S::kBlock && place * (kWide ? 4 : 2) % 16 == 0 && kWords % 4 == 0) {
      uint4* at = reinterpret_cast<uint4*>(static_cast<char*>(to) + place * (kWide ? 4 : 2));
      SEEDLM_UNROLL
      for (int i = 0; i < kWords / 4; ++i) {
        at[i] = {words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]};
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

// weights: [rows][columns] elements, 16-byte aligned.
template <class S, WeightType type>
__global__ void DecodeKernel(PlanesView planes, void* weights) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= planes.rows * planes.blocks_per_row) return;
  const int64_t row = index / planes.blocks_per_row;
  const int64_t block = index % planes.blocks_per_row;
  const codec::BlockCode code = CodeAt<S>(planes, row, block);
  float decoded[codec::kMaxBlock];
  codec::DecodeBlock(S::profile(), code, planes.scale, decoded);
  const int64_t first = block * S::kBlock;
  Elements<S, type>(decoded).Store(weights, row * planes.columns + first, planes.columns - first);
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
