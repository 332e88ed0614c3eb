// The kernels of the search by tensor cores; between and after them those of seed_search_kernel.h.
//
//   ScanKernel, TopKernel, FirstKernel   an eighth of the seeds, for a first threshold
//   FeatureKernel     a thread a block: x x^T and the threshold in float16
//   TensorKernel      all seeds against all blocks; what has a clear sign bit goes to the queue
//   RescoreKernel     a thread an entry: its score in float32
//   PickKernel        a thread a block: the best of them is evaluated next, by FirstKernel
//   FilterKernel      a thread an entry: drops what can no longer matter
//
// 2 * 16 * TensorSteps operations a pair: 96 for C = 8, so that an H200 (9.9e14 a second in
// float16) searches at most 1.6e8 blocks/s, 9.4e7 for C = 12; the sample bounds it to 2.4e8 (C =
// 8).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/cell_search_kernel.h"
#include "kernels/cuda/seed_search_kernel.h"
#include "kernels/cuda/tensor_tile.h"

namespace seedlm::cuda {

// Device memory of one search, beside its Workspace.
struct TensorWork {
  uint32_t* features;        // [count][TensorSteps * 8]: pairs of float16
  uint32_t* marks;           // [count]: whether the block is among the hard ones
  unsigned long long* tops;  // [count]: the best score's bits, its seed
  float* queue_scores;       // [queue_capacity]
};

// float16 of `value`; adds `places` times the squared rounding error to `error`.
__device__ inline uint32_t RoundedHalf(double value, double places, double& error) {
  const uint16_t half = codec::ToFloat16(static_cast<float>(value));
  const double difference = value - double{codec::FromFloat16(half)};
  error += places * difference * difference;
  return half;
}

// The threshold for products of a block, from the one for exact scores. |dB| = `rounding`.
template <class S>
__device__ inline float TensorThreshold(const TableView& tables, float exact, double rounding) {
  const double da = tables.tensor_rounding;
  const double margin = da + sqrt(double{S::kRank}) * rounding + da * rounding +
                        double{kAccumulation} * TensorSteps(S::kBlock) + 0x1p-20;
  return static_cast<float>(double{exact} - margin);
}

template <class S>
__global__ void FeatureKernel(TableView tables, SearchTask task, Workspace work,
                              TensorWork tensor) {
  const int64_t index = GlobalThread();
  if (index >= task.count) return;
  constexpr int kTerms = TensorTerms(S::kBlock);
  constexpr int kSlots = 16 * TensorSteps(S::kBlock);
  uint16_t halves[kSlots] = {};
  const codec::BlockTask block = TaskAt<S>(task, index);
  const double inverse = block.squared_norm > 0 ? 1 / block.squared_norm : 0.0;
  double squared_rounding = 0;
  int slot = 0;
  for (int i = 0; i < S::kBlock; ++i) {
    for (int j = i; j < S::kBlock; ++j) {
      const double term = double{block.weights[i]} * double{block.weights[j]} * inverse;
      halves[slot++] = static_cast<uint16_t>(RoundedHalf(term, i == j ? 1 : 2, squared_rounding));
    }
  }
  constexpr float kNever = 4;     // above any product
  constexpr float kHard = 0.01f;  // below this nearly every seed would survive
  float threshold = kNever;
  tensor.marks[index] = 0;
  if (work.thresholds[index] <= 2) {
    threshold =
        TensorThreshold<S>(tables, work.thresholds[index] + tables.margin, sqrt(squared_rounding));
    if (!(threshold > kHard)) {
      MarkHard(work, tensor.marks, static_cast<uint32_t>(index));
      threshold = kNever;
    }
  }
  halves[kTerms] = codec::ToFloat16(-threshold);
  halves[kTerms + 1] = codec::ToFloat16(-threshold - codec::FromFloat16(halves[kTerms]));
  uint32_t* out = tensor.features + index * (kSlots / 2);
  for (int i = 0; i < kSlots / 2; ++i) {
    out[i] = halves[2 * i] | static_cast<uint32_t>(halves[2 * i + 1]) << 16;
  }
}

// A column of B: a block's features, or those of no block, whose products are negative.
template <class S>
__device__ inline FragmentB LoadFeatures(const TensorWork& tensor, int64_t count, int64_t block,
                                         int step) {
  constexpr int kWords = 8 * TensorSteps(S::kBlock);
  const int t = Lane() % 4;
  FragmentB b;
  SEEDLM_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int word = 8 * step + t + 4 * half;
    constexpr uint32_t kMinusFour = 0xC400;
    const uint32_t nobody =
        word == TensorTerms(S::kBlock) / 2 ? kMinusFour << (TensorTerms(S::kBlock) % 2 * 16) : 0;
    b.at[half] = block < count ? tensor.features[block * kWords + word] : nobody;
  }
  return b;
}

// Puts the pairs of a product with a clear sign bit into the queue.
template <class S>
__device__ inline void PushSurvivors(const Workspace& work, const TensorWork& tensor,
                                     const FragmentD& d, uint32_t first_seed, int64_t first_block) {
  const uint32_t g = static_cast<uint32_t>(Lane()) / 4;
  const int t = Lane() % 4;
  SEEDLM_UNROLL
  for (int i = 0; i < 4; ++i) {
    if (__float_as_uint(d.at[i]) >> 31 != 0) continue;
    const uint32_t block = static_cast<uint32_t>(first_block + 2 * t + i % 2);
    const uint32_t place = TakeEntry(work, tensor.marks, block);
    if (place == kNone) continue;
    work.queue_block[place] = block;
    work.queue_seed[place] = first_seed + g + 8 * static_cast<uint32_t>(i / 2);
  }
}

template <class S>
constexpr size_t TensorSharedBytes() {
  return static_cast<size_t>(kTensorTuning.SeedTiles(S::kBlock) * TensorSteps(S::kBlock) *
                             kWarpSize) *
         sizeof(FragmentA);
}

// Grid (columns of blocks, parts of the seeds).
template <class S, int kTiles>
__global__ void __launch_bounds__(kTensorTuning.warps* kWarpSize, 2)
    TensorKernel(TableView tables, int64_t count, Workspace work, TensorWork tensor) {
  constexpr int kSteps = TensorSteps(S::kBlock);
  constexpr int kSeedTiles = kTensorTuning.SeedTiles(S::kBlock);
  constexpr int kChunks = (1 << 16) / 16 / kSeedTiles;
  constexpr int kFloats = kSeedTiles * kSteps * kWarpSize * 4;
  float* shared = &SharedMemory<float>();
  const int64_t first = (int64_t{blockIdx.x} * kTensorTuning.warps + WarpOfBlock()) *
                        (8 * kTiles);  // block of the warp
  FragmentB b[kTiles][kSteps];
  SEEDLM_UNROLL
  for (int n = 0; n < kTiles; ++n) {
    SEEDLM_UNROLL
    for (int s = 0; s < kSteps; ++s) {
      b[n][s] = LoadFeatures<S>(tensor, count, first + 8 * n + Lane() / 4, s);
    }
  }
  for (int chunk = static_cast<int>(blockIdx.y); chunk < kChunks;
       chunk += static_cast<int>(gridDim.y)) {
    __syncthreads();
    CopyToShared(reinterpret_cast<const float*>(tables.fragments) + int64_t{chunk} * kFloats,
                 kFloats, shared);
    __syncthreads();
    if (first >= count) continue;  // the whole warp
    for (int tile = 0; tile < kSeedTiles; ++tile) {
      const auto* fragments =
          reinterpret_cast<const FragmentA*>(shared) + tile * kSteps * kWarpSize;
      FragmentA a[kSteps];
      SEEDLM_UNROLL
      for (int s = 0; s < kSteps; ++s) a[s] = fragments[s * kWarpSize + Lane()];
      FragmentD d[kTiles];
      uint32_t signs = 0xFFFFFFFFu;
      SEEDLM_UNROLL
      for (int n = 0; n < kTiles; ++n) {
        d[n] = {};
        SEEDLM_UNROLL
        for (int s = 0; s < kSteps; ++s) MultiplyAccumulate(d[n], a[s], b[n][s]);
        SEEDLM_UNROLL
        for (int i = 0; i < 4; ++i) signs &= __float_as_uint(d[n].at[i]);
      }
      if (!__any_sync(kWholeWarp, signs >> 31 == 0)) continue;  // all are negative: none survives
      SEEDLM_UNROLL
      for (int n = 0; n < kTiles; ++n) {
        PushSurvivors<S>(work, tensor, d[n],
                         static_cast<uint32_t>((chunk * kSeedTiles + tile) * 16), first + 8 * n);
      }
      __syncwarp();  // the next products take the whole warp
    }
  }
}

template <class S>
__global__ void RescoreKernel(TableView tables, int64_t count, Workspace work, TensorWork tensor) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = GlobalThread(); i < work.queue_end(); i += step) {
    const uint32_t block = work.queue_block[i];
    const uint32_t seed = work.queue_seed[i];
    float unit[S::kBlock];
    LoadUnit<S>(work, count, block, unit);
    const float score = SeedBasis<S>(tables, seed).Score(unit);
    tensor.queue_scores[i] = score;
    atomicMax(&tensor.tops[block],
              static_cast<unsigned long long>(__float_as_uint(score)) << 32 | seed);
  }
}

template <class S>
__global__ void PickKernel(int64_t count, Workspace work, TensorWork tensor) {
  const int64_t index = GlobalThread();
  if (index >= count || tensor.tops[index] == 0) return;
  work.top_seeds[index] = static_cast<uint32_t>(tensor.tops[index]);
}

// What FirstKernel has just evaluated is done as well.
template <class S>
__global__ void FilterKernel(Workspace work, TensorWork tensor) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = GlobalThread(); i < work.queue_end(); i += step) {
    const uint32_t block = work.queue_block[i];
    if (tensor.queue_scores[i] < work.thresholds[block] ||
        work.queue_seed[i] == work.top_seeds[block]) {
      work.queue_block[i] = kNone;
    }
  }
}

}  // namespace seedlm::cuda
