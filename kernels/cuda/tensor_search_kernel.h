// The kernels of the search by tensor cores; between and after them those of seed_search_kernel.h.
//
//   ScanKernel, TopKernel, FirstKernel   an eighth of the seeds, for a first threshold
//   FeatureKernel     a thread a block: x x^T and the threshold in float16
//   TensorKernel      all seeds against all blocks; what has a clear sign bit goes to the queue
//   RescoreKernel, AgainKernel, FilterKernel   a second look at the queue
//
// 2 * 16 * TensorSteps operations a pair: 96 for C = 8, so that an H200 (9.9e14 a second in
// float16) searches at most 1.6e8 blocks/s, 9.4e7 for C = 12; the sample bounds it to 2.4e8 (C =
// 8).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/seed_search_kernel.h"
#include "kernels/cuda/survivor_list.h"
#include "kernels/cuda/tensor_tile.h"

namespace seedlm::cuda {

// Device memory of one search, beside its Workspace.
struct TensorWork {
  uint32_t* features;  // [count][TensorSteps * 8]: pairs of float16
  uint32_t* marks;     // [count]: whether the block is among the hard ones
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

// What a thread block shares: fragments of seeds, and who has survived.
template <class S>
struct TensorShared {
  static constexpr int kFragments =
      kTensorTuning.SeedTiles(S::kBlock) * TensorSteps(S::kBlock) * kWarpSize;
  FragmentA fragments[kFragments];
  SurvivorList<kTensorTuning.survivors> list;
};

// Lists the pairs of a product with a clear sign bit. Where the list is full, they go to the queue
// one by one. `local`: the product's first block within the thread block, whose own first is
// `group`.
template <class S>
__device__ inline void PushSurvivors(const Workspace& work, const TensorWork& tensor,
                                     const FragmentD& d, uint32_t first_seed, uint32_t local,
                                     uint32_t group, TensorShared<S>& shared) {
  const uint32_t g = static_cast<uint32_t>(Lane()) / 4;
  const uint32_t t = static_cast<uint32_t>(Lane()) % 4;
  SEEDLM_UNROLL
  for (uint32_t i = 0; i < 4; ++i) {
    if (__float_as_uint(d.at[i]) >> 31 != 0) continue;
    const uint32_t block = local + 2 * t + i % 2;
    const uint32_t seed = first_seed + g + 8 * (i / 2);
    if (!shared.list.Push(block, seed)) PushEntry(work, tensor.marks, group + block, seed);
  }
}

// Grid (columns of blocks, parts of the seeds).
template <class S, int kTiles>
__global__ void __launch_bounds__(kTensorTuning.warps* kWarpSize, 2)
    TensorKernel(TableView tables, int64_t count, Workspace work, TensorWork tensor) {
  constexpr int kSteps = TensorSteps(S::kBlock);
  constexpr int kSeedTiles = kTensorTuning.SeedTiles(S::kBlock);
  constexpr int kChunks = (1 << 16) / 16 / kSeedTiles;
  constexpr int kFloats = TensorShared<S>::kFragments * 4;
  auto& shared = SharedMemory<TensorShared<S>>();
  if (threadIdx.x == 0) shared.list.Clear();
  const int64_t group = int64_t{blockIdx.x} * (kTensorTuning.warps * 8 * kTiles);
  const int local = WarpOfBlock() * (8 * kTiles);  // blocks of the warp begin there
  const int64_t first = group + local;
  const auto block_of = [&](uint32_t block) { return static_cast<uint32_t>(group) + block; };
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
    if (shared.list.found > kTensorTuning.survivors / 2) {
      shared.list.Flush(work, tensor.marks, block_of);
    }
    CopyToShared(reinterpret_cast<const float*>(tables.fragments) + int64_t{chunk} * kFloats,
                 kFloats, reinterpret_cast<float*>(shared.fragments));
    __syncthreads();
    __syncwarp();  // products take the whole warp, which flushing may have parted
    // A warp without blocks waits for the others.
    for (int tile = 0; tile < kSeedTiles && first < count; ++tile) {
      const FragmentA* fragments = shared.fragments + tile * kSteps * kWarpSize;
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
        PushSurvivors<S>(
            work, tensor, d[n], static_cast<uint32_t>((chunk * kSeedTiles + tile) * 16),
            static_cast<uint32_t>(local + 8 * n), static_cast<uint32_t>(group), shared);
      }
      __syncwarp();  // the next products take the whole warp
    }
  }
  __syncthreads();
  shared.list.Flush(work, tensor.marks, block_of);
}

}  // namespace seedlm::cuda
