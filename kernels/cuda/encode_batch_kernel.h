// From the bytes of a shard to blocks, and from codes to planes and their losses. A thread a block
// unless it says otherwise.
#pragma once

#include <cstdint>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/shape.h"
#include "kernels/cuda/decode_kernel.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/encode_batch.h"
#include "kernels/cuda/seed_search.h"
#include "kernels/cuda/seed_search_kernel.h"

namespace seedlm::cuda {

// blocks[i]: float32, padded with zeros. A weight that is not finite becomes 0, and first_bad the
// least of their places, row * columns + column.
template <class S>
__global__ void LoadKernel(BatchRows rows, const void* weights, float* blocks,
                           unsigned long long* first_bad) {
  const int64_t index = GlobalThread();
  if (index >= rows.count()) return;
  const int64_t row = index / rows.blocks_per_row;
  const int64_t first = index % rows.blocks_per_row * S::kBlock;
  for (int c = 0; c < S::kBlock; ++c) {
    float w = 0;
    if (first + c < rows.columns) {
      const int64_t place = row * rows.columns + first + c;
      w = LoadElement(rows.type, weights, place);
      if (!(w - w == 0)) {
        atomicMin(first_bad, static_cast<unsigned long long>(place));
        w = 0;
      }
    }
    blocks[index * S::kBlock + c] = w;
  }
}

// The word of every code, and what it lost.
template <class S>
__global__ void PackKernel(BatchRows rows, const float* blocks, const CodeWord* codes,
                           codec::LevelTable levels, uint32_t* words, Loss* losses) {
  const int64_t index = GlobalThread();
  if (index >= rows.count()) return;
  const codec::BlockCode code =
      codec::FromSeedAndRemainder(S::profile(), SeedOf(codes[index]), RemainderOf(codes[index]));
  words[index] = codec::PackWord(S::profile(), code);
  float decoded[codec::kMaxBlock];
  codec::DecodeBlock(S::profile(), code, levels.scale.data(), decoded);
  const int64_t left = rows.columns - index % rows.blocks_per_row * S::kBlock;
  Loss loss = {};
  for (int c = 0; c < S::kBlock; ++c) {
    if (c >= left) break;
    const double w = blocks[index * S::kBlock + c];
    const double error = w - double{decoded[c]};
    loss.squared_weights += w * w;
    loss.squared_error += error * error;
    loss.max_error = fmax(loss.max_error, fabs(error));
  }
  losses[index] = loss;
}

// A thread a byte of the level plane. P = 4 only.
template <class S>
__global__ void PackLevelsKernel(BatchRows rows, const CodeWord* codes, uint8_t* plane) {
  const int64_t row_bytes = codec::LevelRowBytes(S::profile(), rows.blocks_per_row);
  const int64_t index = GlobalThread();
  if (index >= rows.rows * row_bytes) return;
  const int64_t row = index / row_bytes;
  const int64_t first = index % row_bytes * 2;
  uint32_t byte = 0;
  for (int64_t b = first; b < first + 2 && b < rows.blocks_per_row; ++b) {
    const uint32_t remainder = RemainderOf(codes[row * rows.blocks_per_row + b]);
    byte |= (remainder >> (codec::kCoefficientBits * S::kRank) & 15u) << (4 * (b - first));
  }
  plane[index] = static_cast<uint8_t>(byte);
}

inline constexpr int kSumThreads = 128;

// The losses of each row: a thread block a row. The sums go from block to block in their order, as
// the CPU's do, so that they have its bits.
template <class S>
__global__ void SumRowsKernel(BatchRows rows, const Loss* losses, Loss* sums) {
  Loss* shared = &SharedMemory<Loss>();  // [kSumThreads]
  const int64_t row = blockIdx.x;
  Loss sum = {};
  for (int64_t base = 0; base < rows.blocks_per_row; base += kSumThreads) {
    const int64_t mine = base + threadIdx.x;
    if (mine < rows.blocks_per_row) {
      shared[threadIdx.x] = losses[row * rows.blocks_per_row + mine];
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int i = 0; i < kSumThreads && base + i < rows.blocks_per_row; ++i) {
        sum.squared_error += shared[i].squared_error;
        sum.squared_weights += shared[i].squared_weights;
        sum.max_error = fmax(sum.max_error, shared[i].max_error);
      }
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) sums[row] = sum;
}

}  // namespace seedlm::cuda
