// The kernels of the searches. What they share lies in a Workspace; a thread a block unless it says
// otherwise, and no kernel needs another grid than one that covers its work.
//
// * ScaleKernel: units, float32(w block_unit / |w|).
//
// * ScanKernel: the largest score of each segment of seeds, for every block; where the time goes.
//
// * TopKernel, a warp a block: of each of kFinish.tops parts of the segments the seed with the
//   largest score. The best-scored seed alone sometimes has no good code.
//
// * FirstKernel: evaluates them; the error to beat, and the score that is needed for it.
//
// * CollectKernel, a warp a block: seeds with such scores go to the queue; too many: a hard block.
//
// * EvaluateKernel, a thread an entry of the queue.
//
// * HardKernel, a thread block a few hard blocks: every seed is scored; what can matter is asked.
//
// * ReduceKernel, ResolveKernel: the least error, then the least code among its owners.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/codec/basis.h"
#include "kernels/codec/seed_search.h"
#include "kernels/codec/shape.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/events.h"
#include "kernels/cuda/search_tables.h"
#include "kernels/cuda/seed_search.h"
#include "kernels/cuda/seed_search_tile.h"
#include "kernels/cuda/seed_search_warp.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::cuda {

using ErrorBits = unsigned long long;
inline constexpr uint32_t kNone = 0xFFFFFFFFu;  // no block, no seed

// Device memory of a search.
struct Workspace {
  float* units;         // [C][count]
  float* maxima;        // [segments][count]
  float* thresholds;    // [count]; infinite: nothing can beat the first candidate
  uint32_t* top_seeds;  // [kFinish.tops][count]: with large scores, the first the largest; 0: none
  ErrorBits* first_error;  // [count]: what FirstKernel, or HardKernel, found
  CodeWord* first_code;
  ErrorBits* least_error;  // [count]: over the first candidate and the queue
  CodeWord* least_code;    // [count]: over the entries that have the least error
  uint32_t* queue_block;   // [queue_capacity]
  uint32_t* queue_seed;
  ErrorBits* queue_error;
  CodeWord* queue_code;
  float* queue_scores;       // of the second look (second_look_kernel.h)
  unsigned long long* tops;  // [count]: its best score's bits, the seed; 0: none
  uint32_t* hard_blocks;     // [count]
  uint32_t* counters;        // entries in the queue (may exceed its capacity), hard blocks
  uint32_t queue_capacity;

  __device__ uint32_t* queue_size() const { return counters; }
  __device__ uint32_t* hard_count() const { return counters + 1; }
  __device__ uint32_t queue_end() const {
    return *queue_size() < queue_capacity ? *queue_size() : queue_capacity;
  }
};

__device__ inline int64_t GlobalThread() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

__device__ inline ErrorBits BitsOf(double error) {
  return static_cast<ErrorBits>(__double_as_longlong(error));
}
__device__ inline double ErrorOf(ErrorBits bits) {
  return __longlong_as_double(static_cast<long long>(bits));
}

// Adds a block to the hard ones, once. marks: [count], 0 at the start.
__device__ inline void MarkHard(const Workspace& work, uint32_t* marks, uint32_t block) {
  if (atomicAdd(&marks[block], 1u) != 0) return;
  work.hard_blocks[atomicAdd(work.hard_count(), 1u)] = block;
}

template <class S>
__device__ inline codec::BlockTask TaskAt(const SearchTask& task, int64_t block) {
  return codec::MakeTask(S::profile(), task.blocks + block * S::kBlock);
}

// The shared routine with the seed's factors from the table.
template <class S>
__device__ inline void Evaluate(const TableView& tables, const SearchTask& task,
                                const codec::BlockTask& block, uint32_t seed,
                                codec::Candidate& best) {
  codec::Factor factor = {};
  const double* at = tables.factors + int64_t{seed} * FactorDoubles(S::kBlock, S::kRank);
  for (int p = 0; p < S::kRank; ++p) {
    for (int c = 0; c < S::kBlock; ++c) factor.q[c][p] = *at++;
  }
  for (int i = 0; i < S::kRank; ++i) {
    for (int j = i; j < S::kRank; ++j) factor.r[i][j] = *at++;
  }
  codec::EvaluateSeed(S::profile(), task.fit, block, task.levels, seed,
                      codec::MakeBasis(S::profile(), seed), factor, best);
}

// Rung 0: what a reader understands, and the others are checked against.
template <class S>
__global__ void NaiveSearchKernel(TableView tables, SearchTask task, CodeWord* codes) {
  const int64_t index = GlobalThread();
  if (index >= task.count) return;
  const codec::BlockTask block = TaskAt<S>(task, index);
  codec::Candidate best = codec::InitialCandidate(task.fit, block);
  const bool out_of_reach =
      task.fit == codec::Fit::kOptimal && codec::IsOutOfReach(S::profile(), block, task.levels);
  const uint32_t last = out_of_reach ? 0 : S::profile().seed_count();
  double budget = codec::ErrorBudget(block.squared_norm, best.error);
  for (uint32_t seed = 1; seed <= last; ++seed) {
    const double* q = tables.factors + int64_t{seed} * FactorDoubles(S::kBlock, S::kRank);
    double projected = 0;
    for (int p = 0; p < S::kRank; ++p) {
      double z = 0;
      for (int c = 0; c < S::kBlock; ++c) z += *q++ * block.weights[c];
      projected += z * z;
    }
    if (block.squared_norm - projected > budget) continue;
    Evaluate<S>(tables, task, block, seed, best);
    budget = codec::ErrorBudget(block.squared_norm, best.error);
  }
  codes[index] = MakeCodeWord(best.seed, best.remainder);
}

template <class S>
__global__ void ScaleKernel(TableView tables, SearchTask task, Workspace work) {
  const int64_t index = GlobalThread();
  if (index >= task.count) return;
  const codec::BlockTask block = TaskAt<S>(task, index);
  const double scale = block.squared_norm > 0 ? tables.block_unit / sqrt(block.squared_norm) : 0.0;
  for (int c = 0; c < S::kBlock; ++c) {
    work.units[c * task.count + index] = static_cast<float>(double{block.weights[c]} * scale);
  }
  work.tops[index] = 0;
}

// Shared memory of a scan: one segment's records.
template <class S>
constexpr size_t ScanSharedBytes() {
  const size_t plain = static_cast<size_t>(kScan.segment + S::kRank - 1) *
                       static_cast<size_t>(RecordFloats(S::kBlock, S::kRank));
  const size_t ill = static_cast<size_t>(kScan.ill_segment * S::kBlock * S::kRank);
  return (plain > ill ? plain : ill) * sizeof(float);
}

__device__ inline void CopyToShared(const float* from, int count, float* to) {
  for (int i = 4 * static_cast<int>(threadIdx.x); i < count;
       i += 4 * static_cast<int>(blockDim.x)) {
    *reinterpret_cast<float4*>(to + i) = *reinterpret_cast<const float4*>(from + i);
  }
}

// The scan: grid (columns of blocks, parts of the segments).
template <class S>
__global__ void __launch_bounds__(kScan.threads, 4)
    ScanKernel(TableView tables, int64_t count, Workspace work) {
  constexpr int kBlocks = kScan.blocks_per_thread;
  constexpr int kStride = RecordFloats(S::kBlock, S::kRank);
  float* shared = &SharedMemory<float>();
  const int64_t first =
      int64_t{blockIdx.x} * kScan.threads * kBlocks + static_cast<int>(threadIdx.x);
  const bool idle = first >= count;  // copies for the others
  ScanTile<S, kBlocks> tile;
  SEEDLM_UNROLL
  for (int g = 0; g < kBlocks; ++g) {
    const int64_t block = first + g * kScan.threads;
    SEEDLM_UNROLL
    for (int c = 0; c < S::kBlock; ++c) {
      tile.weights[g][c] = block < count ? work.units[c * count + block] : 0.0f;
    }
    SEEDLM_UNROLL
    for (int p = 0; p < S::kRank; ++p) tile.history[g][p] = 0;
  }
  for (int segment = static_cast<int>(blockIdx.y); segment < tables.segments();
       segment += static_cast<int>(gridDim.y)) {
    tile.ClearLargest();
    __syncthreads();  // the last segment's records are no longer read
    if (segment < tables.plain_segments) {
      CopyToShared(tables.records + int64_t{segment} * kScan.segment * kStride,
                   (kScan.segment + S::kRank - 1) * kStride, shared);
      __syncthreads();
      if (idle) continue;
      for (int i = 0; i < S::kRank - 1; ++i) tile.Slide(shared + i * kStride);
#pragma unroll 3
      for (int i = S::kRank - 1; i < kScan.segment + S::kRank - 1; ++i) {
        const LoadedFloats<kStride> record(shared + i * kStride);
        tile.Slide(record.at);
        tile.Score(record.at + S::kBlock);
      }
    } else {
      constexpr int kFloats = S::kBlock * S::kRank;
      CopyToShared(
          tables.ill_bases + int64_t{segment - tables.plain_segments} * kScan.ill_segment * kFloats,
          kScan.ill_segment * kFloats, shared);
      __syncthreads();
      if (idle) continue;
      for (int i = 0; i < kScan.ill_segment; ++i) {
        const LoadedFloats<kFloats> basis(shared + i * kFloats);
        tile.ScoreBasis(basis.at);
      }
    }
    SEEDLM_UNROLL
    for (int g = 0; g < kBlocks; ++g) {
      const int64_t block = first + g * kScan.threads;
      if (block < count) work.maxima[segment * count + block] = tile.largest[g];
    }
  }
}

__device__ inline int SegmentLength(const TableView& tables, int segment) {
  return segment < tables.plain_segments ? kScan.segment : kScan.ill_segment;
}

// The seed at a place of a segment; 0: padding.
__device__ inline uint32_t SeedAt(const TableView& tables, int segment, int place) {
  const int first = segment < tables.plain_segments
                        ? segment * kScan.segment
                        : tables.plain_segments * kScan.segment +
                              (segment - tables.plain_segments) * kScan.ill_segment;
  return tables.seeds[first + place];
}

template <class S>
__device__ inline void LoadUnit(const Workspace& work, int64_t count, int64_t block, float* unit) {
  SEEDLM_UNROLL
  for (int c = 0; c < S::kBlock; ++c) unit[c] = work.units[c * count + block];
}

template <class S>
__global__ void TopKernel(TableView tables, int64_t count, Workspace work) {
  constexpr int kTops = kFinish.tops;
  const int64_t block = int64_t{blockIdx.x} * (blockDim.x / kWarpSize) + WarpOfBlock();
  if (block >= count) return;  // the whole warp
  Peak peak{-1, 0};
  for (int segment = Lane(); segment < tables.segments(); segment += kWarpSize) {
    const float largest = work.maxima[segment * count + block];
    if (largest > peak.score) peak = {largest, segment};
  }
  const int group = Lane() % kTops;
  const int segment = WarpPeak<kTops>(peak).place;
  float unit[S::kBlock];
  LoadUnit<S>(work, count, block, unit);
  Peak best{-1, 0};
  for (int i = Lane() / kTops; i < SegmentLength(tables, segment); i += kWarpSize / kTops) {
    const float score =
        SeedAt(tables, segment, i) == 0
            ? -1.0f
            : ScoreAt<S>(tables, unit, segment, i, kScan.segment, kScan.ill_segment);
    if (score > best.score) best = {score, i};
  }
  best = WarpPeak<kTops>(best);
  const int first = WarpPeak({best.score, group}).place;
  if (Lane() >= kTops) return;
  const int place = (group - first + kTops) % kTops;
  work.top_seeds[place * count + block] = SeedAt(tables, segment, best.place);
}

// No seed with a smaller score has a code with an error of `error` or less.
__device__ inline float ScoreNeeded(const TableView& tables, const codec::BlockTask& block,
                                    double error) {
  const double budget = codec::ErrorBudget(block.squared_norm, error) / block.squared_norm;
  return static_cast<float>(1 - budget) - tables.margin;
}

template <class S>
__global__ void FirstKernel(TableView tables, SearchTask task, Workspace work) {
  const int64_t index = GlobalThread();
  if (index >= task.count) return;
  const codec::BlockTask block = TaskAt<S>(task, index);
  codec::Candidate best = codec::InitialCandidate(task.fit, block);
  float threshold = HUGE_VALF;
  const bool zero = !(block.squared_norm > 0);
  if (zero || task.fit != codec::Fit::kOptimal ||
      !codec::IsOutOfReach(S::profile(), block, task.levels)) {
    for (int k = 0; k < kFinish.tops; ++k) {
      // All seeds give a zero block the same: the first one wins.
      const uint32_t seed = zero ? uint32_t{k == 0} : work.top_seeds[k * task.count + index];
      if (seed != 0) Evaluate<S>(tables, task, block, seed, best);
    }
    if (!zero) threshold = ScoreNeeded(tables, block, best.error);
  }
  work.thresholds[index] = threshold;
  work.first_error[index] = work.least_error[index] = BitsOf(best.error);
  work.first_code[index] = MakeCodeWord(best.seed, best.remainder);
  work.least_code[index] = MakeCodeWord(kNone, kNone);
}

// Whether FirstKernel has evaluated a seed for a block.
__device__ inline bool IsTop(const Workspace& work, int64_t count, int64_t block, uint32_t seed) {
  for (int k = 0; k < kFinish.tops; ++k) {
    if (work.top_seeds[k * count + block] == seed) return true;
  }
  return false;
}

// How many segments have a score of at least the threshold.
__device__ inline int SegmentsAbove(const TableView& tables, const Workspace& work, int64_t count,
                                    int64_t block, float threshold) {
  int above = 0;
  for (int base = 0; base < tables.segments(); base += kWarpSize) {
    const int segment = base + Lane();
    above +=
        __popc(__ballot_sync(kWholeWarp, segment < tables.segments() &&
                                             work.maxima[segment * count + block] >= threshold));
  }
  return above;
}

// Lists the seeds of a block with scores of at least the threshold but for the top seeds; returns
// their number, which may exceed kFinish.survivors.
template <class S>
__device__ inline int ListSurvivors(const TableView& tables, const Workspace& work, int64_t count,
                                    int64_t block, float threshold, uint32_t* survivors) {
  float unit[S::kBlock];
  LoadUnit<S>(work, count, block, unit);
  int found = 0;
  for (int base = 0; base < tables.segments(); base += kWarpSize) {
    const int mine = base + Lane();
    unsigned above = __ballot_sync(
        kWholeWarp, mine < tables.segments() && work.maxima[mine * count + block] >= threshold);
    for (; above != 0 && found <= kFinish.survivors; above &= above - 1) {
      const int segment = base + __ffs(static_cast<int>(above)) - 1;
      for (int i = Lane(); i < SegmentLength(tables, segment); i += kWarpSize) {
        const uint32_t seed = SeedAt(tables, segment, i);
        const bool keep =
            seed != 0 &&
            ScoreAt<S>(tables, unit, segment, i, kScan.segment, kScan.ill_segment) >= threshold &&
            !IsTop(work, count, block, seed);
        found = WarpAppend(survivors, found, kFinish.survivors, keep, seed);
      }
    }
  }
  return found;
}

// Puts a block's survivors into the queue; false if there is no room.
__device__ inline bool Enqueue(const Workspace& work, uint32_t block, const uint32_t* survivors,
                               int found) {
  uint32_t begin = 0;
  if (Lane() == 0) begin = atomicAdd(work.queue_size(), static_cast<uint32_t>(found));
  begin = __shfl_sync(kWholeWarp, begin, 0);
  const bool fits =
      begin <= work.queue_capacity && work.queue_capacity - begin >= static_cast<uint32_t>(found);
  for (uint32_t i = static_cast<uint32_t>(Lane()); i < static_cast<uint32_t>(found);
       i += kWarpSize) {
    if (begin + i >= work.queue_capacity) break;
    work.queue_block[begin + i] = fits ? block : kNone;
    work.queue_seed[begin + i] = survivors[i];
  }
  return fits;
}

template <class S>
__global__ void CollectKernel(TableView tables, int64_t count, Workspace work) {
  uint32_t* survivors = &SharedMemory<uint32_t>() + WarpOfBlock() * kFinish.survivors;
  const int64_t block = int64_t{blockIdx.x} * (blockDim.x / kWarpSize) + WarpOfBlock();
  if (block >= count) return;  // the whole warp
  const float threshold = work.thresholds[block];
  if (threshold > 2) return;  // scores are at most 1
  bool hard = !(threshold > 0) ||
              SegmentsAbove(tables, work, count, block, threshold) > kFinish.hard_segments;
  if (!hard) {
    const int found = ListSurvivors<S>(tables, work, count, block, threshold, survivors);
    __syncwarp();
    hard =
        found > kFinish.survivors || !Enqueue(work, static_cast<uint32_t>(block), survivors, found);
  }
  if (hard && Lane() == 0) {
    work.hard_blocks[atomicAdd(work.hard_count(), 1u)] = static_cast<uint32_t>(block);
  }
}

template <class S>
__global__ void EvaluateKernel(TableView tables, SearchTask task, Workspace work) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = GlobalThread(); i < work.queue_end(); i += step) {
    const uint32_t block = work.queue_block[i];
    Count(Event::kQueued);
    if (block == kNone) continue;
    Count(Event::kEvaluated);
    const CodeWord first = work.first_code[block];
    codec::Candidate best{ErrorOf(work.first_error[block]), SeedOf(first), RemainderOf(first)};
    Evaluate<S>(tables, task, TaskAt<S>(task, block), work.queue_seed[i], best);
    work.queue_error[i] = BitsOf(best.error);
    work.queue_code[i] = MakeCodeWord(best.seed, best.remainder);
    atomicMin(&work.least_error[block], BitsOf(best.error));
  }
}

// What the threads of a thread block share for the hard blocks that it has in hand, each in a
// place.
template <class S>
struct HardShared {
  static constexpr int kPlaces = kFinish.hard_together;
  static constexpr int kEntries = kFinish.hard_seeds * kPlaces + kFinish.hard_threads;
  float units[kPlaces][S::kBlock];
  float thresholds[kPlaces];
  uint32_t blocks[kPlaces];
  uint32_t found;
  double reaches[kPlaces];  // of |A q|: seeds beyond have no code that improves on the zero code
  ErrorBits least[kPlaces], before[kPlaces];
  CodeWord codes[kPlaces];     // of those that have the least error, the least
  uint32_t entries[kEntries];  // place << 16 | seed
};

// Thread `place`: puts a hard block there.
template <class S>
__device__ inline void TakeHard(const TableView& tables, const SearchTask& task,
                                const Workspace& work, uint32_t index, HardShared<S>& shared) {
  const uint32_t place = threadIdx.x;
  const codec::BlockTask block = TaskAt<S>(task, index);
  double lowest = task.levels.scale[0];
  for (const float level : task.levels.scale) lowest = fmin(lowest, double{level});
  LoadUnit<S>(work, task.count, index, shared.units[place]);
  shared.thresholds[place] = ScoreNeeded(tables, block, ErrorOf(work.first_error[index]));
  shared.blocks[place] = index;
  // A code D improves on the zero code only if |D| <= 2 |w|; in units of the lowest level.
  shared.reaches[place] = task.fit == codec::Fit::kOptimal
                              ? 2 * sqrt(block.squared_norm) / lowest * (1 + 0x1p-20)
                              : HUGE_VAL;
  shared.least[place] = work.first_error[index];
  shared.codes[place] = work.first_code[index];
  Count(Event::kHard);
}

// Lists which of kFinish.hard_seeds seeds can matter to which blocks.
template <class S>
__device__ inline void ListHard(const TableView& tables, uint32_t first, uint32_t blocks,
                                HardShared<S>& shared) {
  for (uint32_t i = threadIdx.x; i < kFinish.hard_seeds; i += blockDim.x) {
    const uint32_t seed = first + i;
    if (seed == 0) continue;
    const SeedBasis<S> basis(tables, seed);
    for (uint32_t place = 0; place < blocks; ++place) {
      Count(Event::kHardScore);
      if (basis.Score(shared.units[place]) < shared.thresholds[place]) continue;
      if (tables.shortest[seed] > shared.reaches[place]) continue;
      shared.entries[atomicAdd(&shared.found, 1u)] = place << 16 | seed;
    }
  }
}

// Evaluates `found` entries, the threads one each at a time. Errors that others have reached make a
// search short; their codes are unknown there, so they stand for the last in order.
template <class S>
__device__ inline void AskHard(const TableView& tables, const SearchTask& task, uint32_t found,
                               uint32_t blocks, HardShared<S>& shared) {
  const uint32_t mine = threadIdx.x;
  if (mine < blocks) shared.before[mine] = shared.least[mine];
  for (uint32_t base = 0; base < found; base += blockDim.x) {
    __syncthreads();
    codec::Candidate best{0, kNone, kNone};
    uint32_t place = 0;
    if (base + mine < found) {
      const uint32_t entry = shared.entries[base + mine];
      place = entry >> 16;
      best.error = ErrorOf(*static_cast<volatile ErrorBits*>(&shared.least[place]));
      Evaluate<S>(tables, task, TaskAt<S>(task, shared.blocks[place]), entry & 0xFFFF, best);
      if (best.seed != kNone) atomicMin(&shared.least[place], BitsOf(best.error));
      Count(Event::kHardSeed);
    }
    __syncthreads();
    if (mine < blocks && shared.least[mine] < shared.before[mine]) {
      shared.before[mine] = shared.least[mine];
      shared.codes[mine] = MakeCodeWord(kNone, kNone);
    }
    __syncthreads();
    if (best.seed != kNone && BitsOf(best.error) == shared.least[place]) {
      atomicMin(&shared.codes[place], MakeCodeWord(best.seed, best.remainder));
    }
  }
  if (mine < blocks) {
    shared.thresholds[mine] =
        ScoreNeeded(tables, TaskAt<S>(task, shared.blocks[mine]), ErrorOf(shared.least[mine]));
  }
}

template <class S>
__global__ void __launch_bounds__(kFinish.hard_threads, 2)
    HardKernel(TableView tables, SearchTask task, Workspace work) {
  static_assert((1 << 16) % kFinish.hard_seeds == 0);
  auto& shared = SharedMemory<HardShared<S>>();
  const uint32_t count = *work.hard_count();
  // As many at a time as it takes to have work for every thread block, or as there are places.
  const uint32_t wanted = (count + gridDim.x - 1) / gridDim.x;
  const uint32_t together =
      wanted < HardShared<S>::kPlaces ? wanted : uint32_t{HardShared<S>::kPlaces};
  for (uint32_t i = blockIdx.x * together; i < count; i += gridDim.x * together) {
    const uint32_t blocks = count - i < together ? count - i : together;
    if (threadIdx.x < blocks) {
      TakeHard<S>(tables, task, work, work.hard_blocks[i + threadIdx.x], shared);
    }
    if (threadIdx.x == 0) shared.found = 0;
    __syncthreads();
    for (uint32_t first = 0; first < 1u << 16; first += kFinish.hard_seeds) {
      ListHard<S>(tables, first, blocks, shared);
      __syncthreads();
      const uint32_t found = shared.found;
      const bool last = first + kFinish.hard_seeds == 1u << 16;
      __syncthreads();
      if (found < blockDim.x && !last) continue;  // a few more for idle threads
      AskHard<S>(tables, task, found, blocks, shared);
      if (threadIdx.x == 0) shared.found = 0;
      __syncthreads();
    }
    if (threadIdx.x < blocks) {
      const uint32_t index = shared.blocks[threadIdx.x];
      work.first_error[index] = work.least_error[index] = shared.least[threadIdx.x];
      work.first_code[index] = shared.codes[threadIdx.x];
    }
    __syncthreads();
  }
}

template <class S>
__global__ void ReduceKernel(Workspace work) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = GlobalThread(); i < work.queue_end(); i += step) {
    const uint32_t block = work.queue_block[i];
    if (block == kNone || work.queue_error[i] != work.least_error[block]) continue;
    atomicMin(&work.least_code[block], work.queue_code[i]);
  }
}

template <class S>
__global__ void ResolveKernel(int64_t count, Workspace work, CodeWord* codes) {
  const int64_t index = GlobalThread();
  if (index >= count) return;
  CodeWord code = work.least_code[index];
  const CodeWord first = work.first_code[index];
  if (work.first_error[index] == work.least_error[index] && first < code) code = first;
  codes[index] = code;
}

}  // namespace seedlm::cuda
