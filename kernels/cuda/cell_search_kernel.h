// The kernels of the search through cells; what follows them is the back of the other searches
// (seed_search_kernel.h).
//
//   LocateKernel        a thread a block: its cell, and the angle to the cell's centre
//   PlaceKernel         a thread a cell of the table: room for its blocks, one visit for each cell
//   FileKernel          a thread a block: puts it there
//   BuildKernel         a thread block a visit: the list, where there is none yet
//   CellTopKernel       a thread block a visit: each block's seeds with large scores among the
//   first NeedKernel          a thread a block: how much of the list it needs, or that it is hard
//   CellCollectKernel   a thread block a visit: seeds with scores that matter go to the queue
//   RescoreKernel, AgainKernel, FilterKernel   a second look at it (second_look_kernel.h)
//
// Within a visit a thread holds the basis of one seed and scores all blocks of the cell with it, so
// that a seed is fetched once a visit: 27 FMA a pair, and 4 to 6 % of the seeds of rung 1.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/cell_search.h"
#include "kernels/cuda/seed_search_kernel.h"
#include "kernels/cuda/survivor_list.h"
#include "kernels/search/lattice.h"

namespace seedlm::cuda {

// Device memory of one search, beside its Workspace; slots: CellShape::slots.
struct CellWork {
  uint32_t* slots;     // [count]: of each block; kNone: no cell
  double* cosines;     // [count]: of the angle to the cell's centre
  uint32_t* prefixes;  // [count]: seeds of the list that the block needs
  uint32_t* marks;     // [count]: whether it is among the hard ones
  uint32_t* order;     // [count]: blocks, cell by cell
  uint32_t* visits;    // [slots]: those that have blocks
  uint32_t* counts;    // [slots]: blocks of each cell
  uint32_t* begins;    // [slots]: in `order`
  uint32_t* fills;     // [slots]
  uint32_t* lists;     // [slots]: of the cells that are visited; kNone: none that can be used
  uint32_t* cursor;    // of `order`; the number of visits is the next word

  __device__ uint32_t* visit_count() const { return cursor + 1; }
};

// The slot of a key, taken for it if it is new; kNone: the table is full.
__device__ inline uint32_t FindSlot(const CellView& cells, unsigned long long key) {
  uint32_t at = cells.FirstSlot(key);
  for (int probe = 0; probe < CellView::kMaxProbes; ++probe, at = cells.NextSlot(at)) {
    const unsigned long long found = atomicCAS(&cells.keys[at], 0ull, key);
    if (found == 0 || found == key) return at;
  }
  return kNone;
}

template <class S>
__global__ void LocateKernel(TableView tables, SearchTask task, Workspace work,
                             CellWork cell_work) {
  const int64_t index = GlobalThread();
  if (index >= task.count) return;
  float scaled[S::kBlock];
  LoadUnit<S>(work, task.count, index, scaled);
  const float scale = static_cast<float>(double{CellView::kRadius} / tables.block_unit);
  for (int c = 0; c < S::kBlock; ++c) scaled[c] *= scale;
  const search::LatticePoint point = search::NearestOfDPlus<S::kBlock>(scaled);
  const unsigned long long key = search::CellKey<S::kBlock>(point);
  uint32_t slot = kNone;
  if (key != 0) slot = FindSlot(tables.cells, key);
  const codec::BlockTask block = TaskAt<S>(task, index);
  double dot = 0, centre = 0;
  for (int c = 0; c < S::kBlock; ++c) {
    const double x = point.twice[c];
    dot += x * block.weights[c];
    centre += x * x;
  }
  cell_work.slots[index] = slot;
  cell_work.cosines[index] =
      slot == kNone ? 0 : fabs(dot) / (sqrt(centre) * sqrt(block.squared_norm));
  cell_work.marks[index] = 0;
  for (int k = 0; k < kFinish.tops; ++k) work.top_seeds[k * task.count + index] = k == 0;
  if (slot != kNone) atomicAdd(&cell_work.counts[slot], 1u);
}

template <class S>
__global__ void PlaceKernel(TableView tables, CellWork cell_work) {
  const int64_t slot = GlobalThread();
  if (slot >= tables.cells.shape.slots || cell_work.counts[slot] == 0) return;
  cell_work.begins[slot] = atomicAdd(cell_work.cursor, cell_work.counts[slot]);
  const uint32_t visit = atomicAdd(cell_work.visit_count(), 1u);
  cell_work.visits[visit] = static_cast<uint32_t>(slot);
}

template <class S>
__global__ void FileKernel(int64_t count, CellWork cell_work) {
  const int64_t index = GlobalThread();
  if (index >= count) return;
  const uint32_t slot = cell_work.slots[index];
  if (slot == kNone) return;
  const uint32_t place = cell_work.begins[slot] + atomicAdd(&cell_work.fills[slot], 1u);
  cell_work.order[place] = static_cast<uint32_t>(index);
}

// What the threads of a thread block share while they build a list.
template <class S>
struct BuildShared {
  float centre[S::kBlock];
  uint32_t list;  // its number; kNone: there is nothing to do
  uint32_t counts[CellView::kBins];
  uint32_t next[CellView::kBins];
  uint32_t complete;
};

// The bin of a seed in the list of a centre; kBins or more: it is not in it.
template <class S>
__device__ inline int BinOf(const TableView& tables, uint32_t seed, const float* centre) {
  const float x = 1 - SeedBasis<S>(tables, seed).Score(centre);
  const float at = fmaxf(x * tables.cells.grain, 0.0f);
  return at < CellView::kGrains ? tables.cells.bin_of[static_cast<int>(at)] : CellView::kBins;
}

// Thread 0: takes the list of a slot for itself if nobody has, and unpacks its centre.
template <class S>
__device__ inline void ClaimList(const TableView& tables, uint32_t slot, BuildShared<S>& shared) {
  const CellView& cells = tables.cells;
  shared.list = kNone;
  if (atomicCAS(&cells.list_of[slot], 0u, CellView::kBuilding) != 0) return;
  const uint32_t list = atomicAdd(cells.lists_made, 1u);
  if (list >= static_cast<uint32_t>(cells.shape.lists)) return;  // its blocks are hard ones
  shared.list = list;
  const search::LatticePoint point = search::PointOfKey(cells.keys[slot], S::kBlock);
  double squared = 0;
  for (int c = 0; c < S::kBlock; ++c) squared += double(point.twice[c]) * point.twice[c];
  for (int c = 0; c < S::kBlock; ++c) {
    shared.centre[c] = static_cast<float>(point.twice[c] * (tables.block_unit / sqrt(squared)));
  }
}

// Thread 0: from counts to places; a list that has no room ends with its last complete bin.
template <class S>
__device__ inline void PlaceBins(const CellView& cells, BuildShared<S>& shared) {
  uint16_t* begins = cells.begins + int64_t{shared.list} * (CellView::kBins + 1);
  uint32_t sum = 0;
  shared.complete = 0;
  for (int b = 0; b < CellView::kBins; ++b) {
    begins[b] = static_cast<uint16_t>(sum);
    shared.next[b] = sum;
    if (sum + shared.counts[b] > static_cast<uint32_t>(cells.shape.capacity)) break;
    sum += shared.counts[b];
    ++shared.complete;
  }
  begins[shared.complete] = static_cast<uint16_t>(sum);
  cells.complete[shared.list] = shared.complete;
}

template <class S>
__global__ void __launch_bounds__(kCellTuning.threads, 4)
    BuildKernel(TableView tables, CellWork cell_work) {
  const CellView& cells = tables.cells;
  auto& shared = SharedMemory<BuildShared<S>>();
  for (uint32_t v = blockIdx.x; v < *cell_work.visit_count(); v += gridDim.x) {
    const uint32_t slot = cell_work.visits[v];
    if (threadIdx.x == 0) ClaimList<S>(tables, slot, shared);
    if (threadIdx.x < CellView::kBins) shared.counts[threadIdx.x] = 0;
    __syncthreads();
    if (shared.list != kNone) {
      for (uint32_t seed = threadIdx.x + 1; seed <= S::profile().seed_count(); seed += blockDim.x) {
        const int bin = BinOf<S>(tables, seed, shared.centre);
        if (bin < CellView::kBins) atomicAdd(&shared.counts[bin], 1u);
      }
      __syncthreads();
      if (threadIdx.x == 0) PlaceBins<S>(cells, shared);
      __syncthreads();
      uint16_t* seeds = cells.seeds + int64_t{shared.list} * cells.shape.capacity;
      for (uint32_t seed = threadIdx.x + 1; seed <= S::profile().seed_count(); seed += blockDim.x) {
        const int bin = BinOf<S>(tables, seed, shared.centre);
        if (bin >= static_cast<int>(shared.complete)) continue;
        seeds[atomicAdd(&shared.next[bin], 1u)] = static_cast<uint16_t>(seed);
      }
      __threadfence();  // before the list can be seen from another stream
      __syncthreads();
      if (threadIdx.x == 0) atomicExch(&cells.list_of[slot], shared.list + 1);
    }
    // The one look at it: another stream may be building it, and done a moment later.
    if (threadIdx.x == 0) {
      const uint32_t list = atomicAdd(&cells.list_of[slot], 0u);
      cell_work.lists[slot] = list == 0 || list == CellView::kBuilding ? kNone : list - 1;
    }
    __syncthreads();
  }
}

// Some blocks of a cell in shared memory.
template <class S>
struct VisitShared {
  float units[kCellTuning.blocks][S::kBlock];
  uint32_t blocks[kCellTuning.blocks];
  unsigned long long best[kCellTuning.blocks][kFinish.tops];  // of each warp: score's bits, seed
  float thresholds[kCellTuning.blocks];
  uint32_t prefixes[kCellTuning.blocks];
  SurvivorList<kCellTuning.survivors> list;
};

// Calls work_on(list, blocks in shared memory) for every kCellTuning.blocks blocks of every cell.
// All threads of the thread block take part.
template <class S, typename WorkOn>
__device__ inline void ForEachVisit(int64_t count, const Workspace& work, const CellWork& cell_work,
                                    VisitShared<S>& shared, const WorkOn& work_on) {
  for (uint32_t v = blockIdx.x; v < *cell_work.visit_count(); v += gridDim.x) {
    const uint32_t slot = cell_work.visits[v];
    const uint32_t list = cell_work.lists[slot];
    if (list == kNone) continue;
    const uint32_t blocks = cell_work.counts[slot];
    for (uint32_t first = 0; first < blocks; first += kCellTuning.blocks) {
      const int some = static_cast<int>(blocks - first < static_cast<uint32_t>(kCellTuning.blocks)
                                            ? blocks - first
                                            : kCellTuning.blocks);
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < some; i += static_cast<int>(blockDim.x)) {
        const uint32_t block = cell_work.order[cell_work.begins[slot] + first + i];
        shared.blocks[i] = block;
        for (auto& best : shared.best[i]) best = 0;
        LoadUnit<S>(work, count, block, shared.units[i]);
      }
      __syncthreads();
      work_on(list, some);
    }
  }
}

template <class S>
__global__ void __launch_bounds__(kCellTuning.threads, 4)
    CellTopKernel(TableView tables, int64_t count, Workspace work, CellWork cell_work) {
  static_assert(kCellTuning.threads == kFinish.tops * kWarpSize);
  auto& shared = SharedMemory<VisitShared<S>>();
  const CellView& cells = tables.cells;
  ForEachVisit<S>(count, work, cell_work, shared, [&](uint32_t list, int blocks) {
    const uint16_t* begins = cells.begins + int64_t{list} * (CellView::kBins + 1);
    const int size = begins[cells.complete[list]];
    const int first = size < kCellTuning.top_seeds ? size : kCellTuning.top_seeds;
    const uint16_t* seeds = cells.seeds + int64_t{list} * cells.shape.capacity;
    for (int base = 0; base < first; base += static_cast<int>(blockDim.x)) {
      const int mine = base + static_cast<int>(threadIdx.x);
      const uint32_t seed = mine < first ? seeds[mine] : 0;
      const SeedBasis<S> basis(tables, seed);  // seed 0: zeros
      for (int b = 0; b < blocks; ++b) {
        const uint32_t score = __float_as_uint(basis.Score(shared.units[b]));
        const uint32_t most = __reduce_max_sync(kWholeWarp, score);
        const unsigned owners = __ballot_sync(kWholeWarp, score == most);
        if (Lane() == __ffs(static_cast<int>(owners)) - 1) {
          unsigned long long& best = shared.best[b][WarpOfBlock()];
          const auto mine_is = static_cast<unsigned long long>(score) << 32 | seed;
          best = mine_is > best ? mine_is : best;
        }
      }
      __syncwarp();  // another lane may be the next owner
    }
    __syncthreads();
    for (int b = static_cast<int>(threadIdx.x); b < blocks; b += static_cast<int>(blockDim.x)) {
      const auto& best = shared.best[b];
      int top = 0;
      for (int w = 1; w < kFinish.tops; ++w) top = best[w] > best[top] ? w : top;
      if (best[top] == 0) continue;  // an empty list
      for (int w = 0; w < kFinish.tops; ++w) {
        work.top_seeds[w * count + shared.blocks[b]] =
            static_cast<uint32_t>(best[(top + w) % kFinish.tops]);
      }
    }
  });
}

// sin^2(angle(centre, w) + alpha) for sin^2 alpha = share, with the margins of search/cell_index.h.
__device__ inline double NeedOf(double cosine, double share, double margin) {
  constexpr double kRounding = 1e-7;
  if (!(share < cosine * cosine)) return 1 + margin;
  const double sine = sqrt(fmax(0.0, 1 - cosine * cosine)) + kRounding;
  const double sum = sine * sqrt(1 - share) + cosine * sqrt(share);
  return sum * sum + margin + kRounding;
}

template <class S>
__global__ void NeedKernel(TableView tables, SearchTask task, Workspace work, CellWork cell_work) {
  const int64_t index = GlobalThread();
  if (index >= task.count) return;
  cell_work.prefixes[index] = 0;
  const float threshold = work.thresholds[index];
  if (threshold > 2) return;  // nothing can beat the first candidate
  const uint32_t slot = cell_work.slots[index];
  const uint32_t list = slot == kNone ? kNone : cell_work.lists[slot];
  if (list != kNone && threshold > 0) {
    const codec::BlockTask block = TaskAt<S>(task, index);
    const double share = codec::ErrorBudget(block.squared_norm, ErrorOf(work.first_error[index])) /
                         block.squared_norm;
    const double need = NeedOf(cell_work.cosines[index], share, tables.margin);
    // Rounding may move an x up to the need across a border of grains: `until` allows for that.
    const float at = static_cast<float>(need) * tables.cells.grain;
    const uint32_t bins =
        at < CellView::kGrains ? tables.cells.until[static_cast<int>(at)] : CellView::kBins + 1;
    if (bins <= tables.cells.complete[list]) {
      const uint16_t* begins = tables.cells.begins + int64_t{list} * (CellView::kBins + 1);
      cell_work.prefixes[index] = begins[bins];
      return;
    }
  }
  MarkHard(work, cell_work.marks, static_cast<uint32_t>(index));
}

template <class S>
__global__ void __launch_bounds__(kCellTuning.threads, 4)
    CellCollectKernel(TableView tables, int64_t count, Workspace work, CellWork cell_work) {
  auto& shared = SharedMemory<VisitShared<S>>();
  if (threadIdx.x == 0) shared.list.Clear();
  const CellView& cells = tables.cells;
  ForEachVisit<S>(count, work, cell_work, shared, [&](uint32_t list, int blocks) {
    uint32_t longest = 0;
    for (int b = 0; b < blocks; ++b) {
      const uint32_t block = shared.blocks[b];
      const uint32_t prefix = cell_work.prefixes[block];
      if (threadIdx.x == 0) {
        shared.prefixes[b] = prefix;
        shared.thresholds[b] = work.thresholds[block];
      }
      longest = prefix > longest ? prefix : longest;
    }
    __syncthreads();
    const uint16_t* seeds = cells.seeds + int64_t{list} * cells.shape.capacity;
    for (uint32_t i = threadIdx.x; i < longest; i += blockDim.x) {
      const uint32_t seed = seeds[i];
      const SeedBasis<S> basis(tables, seed);
      for (int b = 0; b < blocks; ++b) {
        if (i >= shared.prefixes[b] || basis.Score(shared.units[b]) < shared.thresholds[b])
          continue;
        const uint32_t block = shared.blocks[b];
        if (IsTop(work, count, block, seed)) continue;
        if (!shared.list.Push(static_cast<uint32_t>(b), seed)) {
          PushEntry(work, cell_work.marks, block, seed);
        }
      }
    }
    __syncthreads();
    shared.list.Flush(work, cell_work.marks, [&](uint32_t b) { return shared.blocks[b]; });
  });
}

}  // namespace seedlm::cuda
