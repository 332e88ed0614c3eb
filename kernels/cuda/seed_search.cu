#include <algorithm>

#include "kernels/codec/shape.h"
#include "kernels/cuda/carver.h"
#include "kernels/cuda/cell_search_kernel.h"
#include "kernels/cuda/launch_queue.h"
#include "kernels/cuda/second_look_kernel.h"
#include "kernels/cuda/seed_search.h"
#include "kernels/cuda/seed_search_kernel.h"
#include "kernels/cuda/tensor_search_kernel.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::cuda {
namespace {

int64_t QueueCapacity(int64_t count) {
  return count * kFinish.queue_per_block + kFinish.queue_least;
}

Workspace Carve(const codec::Profile& profile, int segments, int64_t count, Carver& carver) {
  Workspace work;
  work.units = carver.Take<float>(count * profile.block);
  work.maxima = carver.Take<float>(count * segments);
  work.thresholds = carver.Take<float>(count);
  work.top_seeds = carver.Take<uint32_t>(kFinish.tops * count);
  work.first_error = carver.Take<ErrorBits>(count);
  work.first_code = carver.Take<CodeWord>(count);
  work.least_error = carver.Take<ErrorBits>(count);
  work.least_code = carver.Take<CodeWord>(count);
  const int64_t capacity = QueueCapacity(count);
  work.queue_capacity = static_cast<uint32_t>(capacity);
  work.queue_block = carver.Take<uint32_t>(capacity);
  work.queue_seed = carver.Take<uint32_t>(capacity);
  work.queue_error = carver.Take<ErrorBits>(capacity);
  work.queue_code = carver.Take<CodeWord>(capacity);
  work.queue_scores = carver.Take<float>(capacity);
  work.tops = carver.Take<unsigned long long>(count);
  work.hard_blocks = carver.Take<uint32_t>(count);
  work.counters = carver.Take<uint32_t>(2);
  return work;
}

constexpr int kMostSegments = (1 << 16) / kScan.segment + kMostIllSeeds / kScan.ill_segment;

// Whether a shape has cells (CellShapeOf).
template <class S>
constexpr bool HasCells() {
  return CellShapeOf(S::profile()).slots > 0;
}

CellWork CarveCells(const codec::Profile& profile, int64_t count, Carver& carver) {
  const int64_t slots = CellShapeOf(profile).slots;
  CellWork work;
  work.slots = carver.Take<uint32_t>(count);
  work.cosines = carver.Take<double>(count);
  work.prefixes = carver.Take<uint32_t>(count);
  work.marks = carver.Take<uint32_t>(count);
  work.order = carver.Take<uint32_t>(count);
  work.visits = carver.Take<uint32_t>(slots);
  work.begins = carver.Take<uint32_t>(slots);
  work.lists = carver.Take<uint32_t>(slots);
  work.counts = carver.Take<uint32_t>(2 * slots + 2);  // cleared together
  if (work.counts != nullptr) {
    work.fills = work.counts + slots;
    work.cursor = work.fills + slots;
  }
  return work;
}

TensorWork CarveTensor(const codec::Profile& profile, int64_t count, Carver& carver) {
  TensorWork work;
  work.features = carver.Take<uint32_t>(count * 8 * TensorSteps(profile.block));
  work.marks = carver.Take<uint32_t>(count);
  return work;
}

template <class S>
cudaError_t QueueNaive(const TableView& tables, const SearchTask& task, CodeWord* codes,
                       cudaStream_t stream) {
  const LaunchShape thread_a_block{CeilDivide(task.count, kFinish.threads), 1, kFinish.threads};
  return LaunchQueue(stream)
      .Then(NaiveSearchKernel<S>, thread_a_block, tables, task, codes)
      .error();
}

// The launches that the methods share.
struct Shapes {
  static constexpr int kThreads = kFinish.threads;
  static constexpr int kWarps = kThreads / kWarpSize;
  LaunchShape thread_a_block, warp_a_block, collect, queue;

  Shapes(int64_t count, const SearchPlan& plan)
      : thread_a_block{CeilDivide(count, kThreads), 1, kThreads},
        warp_a_block{CeilDivide(count, kWarps), 1, kThreads},
        collect{warp_a_block.grid_x, 1, kThreads, kWarps * kFinish.survivors * sizeof(uint32_t)},
        queue{plan.wide, 1, kThreads} {}
};

// Drops most of a queue's entries.
template <class S>
void LookAgain(LaunchQueue& queue, const TableView& tables, const SearchTask& task,
               const Shapes& shapes, const Workspace& work) {
  queue.Then(RescoreKernel<S>, shapes.queue, tables, task.count, work)
      .Then(AgainKernel<S>, shapes.thread_a_block, tables, task, work)
      .Then(FilterKernel<S>, shapes.queue, work);
}

// From the queue and the hard blocks to codes.
template <class S>
LaunchQueue& Finish(LaunchQueue& queue, const TableView& tables, const SearchTask& task,
                    const SearchPlan& plan, const Shapes& shapes, const Workspace& work,
                    CodeWord* codes) {
  const LaunchShape hard{plan.hard, 1, kFinish.hard_threads, sizeof(HardShared<S>)};
  return queue.Then(EvaluateKernel<S>, shapes.queue, tables, task, work)
      .Then(HardKernel<S>, hard, tables, task, work)
      .Then(ReduceKernel<S>, shapes.queue, work)
      .Then(ResolveKernel<S>, shapes.thread_a_block, task.count, work, codes);
}

template <class S>
cudaError_t QueueSliding(const TableView& tables, const SearchTask& task, const SearchPlan& plan,
                         const Workspace& work, CodeWord* codes, cudaStream_t stream) {
  const Shapes shapes(task.count, plan);
  const LaunchShape scan{plan.scan_columns, plan.scan_parts, kScan.threads, ScanSharedBytes<S>()};
  LaunchQueue queue(stream);
  queue.Then([&] { return cudaMemsetAsync(work.counters, 0, 2 * sizeof(uint32_t), stream); })
      .Then(ScaleKernel<S>, shapes.thread_a_block, tables, task, work)
      .Then(ScanKernel<S>, scan, tables, task.count, work)
      .Then(TopKernel<S>, shapes.warp_a_block, tables, task.count, work)
      .Then(FirstKernel<S>, shapes.thread_a_block, tables, task, work)
      .Then(CollectKernel<S>, shapes.collect, tables, task.count, work);
  return Finish<S>(queue, tables, task, plan, shapes, work, codes).error();
}

template <class S>
cudaError_t QueueCells(const TableView& tables, const SearchTask& task, const SearchPlan& plan,
                       const Workspace& work, const CellWork& cell_work, CodeWord* codes,
                       cudaStream_t stream) {
  const Shapes shapes(task.count, plan);
  const LaunchShape thread_a_slot{CeilDivide(tables.cells.shape.slots, kFinish.threads), 1,
                                  kFinish.threads};
  const LaunchShape build{plan.wide, 1, kCellTuning.threads, sizeof(BuildShared<S>)};
  const LaunchShape visit{plan.wide, 1, kCellTuning.threads, sizeof(VisitShared<S>)};
  LaunchQueue queue(stream);
  queue.Then([&] { return cudaMemsetAsync(work.counters, 0, 2 * sizeof(uint32_t), stream); })
      .Then([&] {
        constexpr size_t kWords = 2 * CellShapeOf(S::profile()).slots + 2;
        return cudaMemsetAsync(cell_work.counts, 0, kWords * sizeof(uint32_t), stream);
      })
      .Then(ScaleKernel<S>, shapes.thread_a_block, tables, task, work)
      .Then(LocateKernel<S>, shapes.thread_a_block, tables, task, work, cell_work)
      .Then(PlaceKernel<S>, thread_a_slot, tables, cell_work)
      .Then(FileKernel<S>, shapes.thread_a_block, task.count, cell_work)
      .Then(BuildKernel<S>, build, tables, cell_work)
      .Then(CellTopKernel<S>, visit, tables, task.count, work, cell_work)
      .Then(FirstKernel<S>, shapes.thread_a_block, tables, task, work)
      .Then(NeedKernel<S>, shapes.thread_a_block, tables, task, work, cell_work)
      .Then(CellCollectKernel<S>, visit, tables, task.count, work, cell_work);
  LookAgain<S>(queue, tables, task, shapes, work);
  return Finish<S>(queue, tables, task, plan, shapes, work, codes).error();
}

template <class S, int kTiles>
cudaError_t QueueTensor(const TableView& tables, const SearchTask& task, const SearchPlan& plan,
                        const Workspace& work, const TensorWork& tensor, CodeWord* codes,
                        cudaStream_t stream) {
  const Shapes shapes(task.count, plan);
  const LaunchShape scan{plan.scan_columns, plan.scan_parts, kScan.threads, ScanSharedBytes<S>()};
  const int columns = CeilDivide(task.count, kTensorTuning.warps * 8 * kTiles);
  const LaunchShape product{columns, kTensorTuning.parts, kTensorTuning.warps * kWarpSize,
                            sizeof(TensorShared<S>)};
  static_assert(sizeof(TensorShared<S>) <= 48 << 10);
  TableView sample = tables;
  sample.plain_segments = std::min(tables.plain_segments, kTensorTuning.sample_segments);
  sample.ill_segments = 0;
  LaunchQueue queue(stream);
  queue.Then([&] { return cudaMemsetAsync(work.counters, 0, 2 * sizeof(uint32_t), stream); })
      .Then(ScaleKernel<S>, shapes.thread_a_block, tables, task, work)
      .Then(ScanKernel<S>, scan, sample, task.count, work)
      .Then(TopKernel<S>, shapes.warp_a_block, sample, task.count, work)
      .Then(FirstKernel<S>, shapes.thread_a_block, tables, task, work)
      .Then(FeatureKernel<S>, shapes.thread_a_block, tables, task, work, tensor)
      .Then(TensorKernel<S, kTiles>, product, tables, task.count, work, tensor);
  LookAgain<S>(queue, tables, task, shapes, work);
  return Finish<S>(queue, tables, task, plan, shapes, work, codes).error();
}

}  // namespace

bool TensorsNext(const codec::Profile& profile) { return profile.name != codec::k4_5bit.name; }

size_t SearchScratchBytes(const codec::Profile& profile, int64_t count) {
  Carver counter(nullptr);
  Carve(profile, kMostSegments, count, counter);
  CarveCells(profile, count, counter);
  CarveTensor(profile, count, counter);
  return counter.used();
}

cudaError_t QueueSearch(SearchMethod method, const codec::Profile& profile, const TableView& tables,
                        const SearchTask& task, const SearchPlan& plan, void* scratch,
                        CodeWord* codes, cudaStream_t stream) {
  if (task.count == 0) return cudaSuccess;
  if (task.count > kMaxSearchBlocks || tables.segments() > kMostSegments) {
    return cudaErrorInvalidValue;
  }
  Carver carver(scratch);
  Workspace work = Carve(profile, kMostSegments, task.count, carver);
  work.queue_capacity =
      static_cast<uint32_t>(std::min<int64_t>(work.queue_capacity, plan.queue_limit));
  const CellWork cell_work = CarveCells(profile, task.count, carver);
  const TensorWork tensor = CarveTensor(profile, task.count, carver);
  return codec::WithShape(profile, [&](auto shape) {
    using S = decltype(shape);
    if constexpr (HasCells<S>()) {
      if (method == SearchMethod::kCells && tables.cells.exists() &&
          tables.cells.shape.slots <= CellShapeOf(profile).slots) {
        return QueueCells<S>(tables, task, plan, work, cell_work, codes, stream);
      }
    }
    if (method == SearchMethod::kTensor ||
        (method == SearchMethod::kCells && TensorsNext(profile))) {
      // A few blocks do not fill the tiles of a warp.
      return task.count <= kTensorTuning.warps * 8
                 ? QueueTensor<S, 1>(tables, task, plan, work, tensor, codes, stream)
                 : QueueTensor<S, kTensorTuning.Tiles(S::kBlock)>(tables, task, plan, work, tensor,
                                                                  codes, stream);
    }
    if (method == SearchMethod::kNaive) return QueueNaive<S>(tables, task, codes, stream);
    return QueueSliding<S>(tables, task, plan, work, codes, stream);
  });
}

}  // namespace seedlm::cuda
