#include <algorithm>

#include "kernels/cuda/carver.h"
#include "kernels/cuda/launch_queue.h"
#include "kernels/cuda/seed_search.h"
#include "kernels/cuda/seed_search_kernel.h"
#include "kernels/cuda/shape.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::cuda {
namespace {

Workspace Carve(const codec::Profile& profile, int segments, int64_t count, Carver& carver) {
  Workspace work;
  work.units = carver.Take<float>(count * profile.block);
  work.maxima = carver.Take<float>(count * segments);
  work.thresholds = carver.Take<float>(count);
  work.top_seeds = carver.Take<uint32_t>(count);
  work.first_error = carver.Take<ErrorBits>(count);
  work.first_code = carver.Take<CodeWord>(count);
  work.least_error = carver.Take<ErrorBits>(count);
  work.least_code = carver.Take<CodeWord>(count);
  const int64_t capacity = count * kFinish.queue_per_block + kFinish.queue_least;
  work.queue_capacity = static_cast<uint32_t>(capacity);
  work.queue_block = carver.Take<uint32_t>(capacity);
  work.queue_seed = carver.Take<uint32_t>(capacity);
  work.queue_error = carver.Take<ErrorBits>(capacity);
  work.queue_code = carver.Take<CodeWord>(capacity);
  work.hard_blocks = carver.Take<uint32_t>(count);
  work.counters = carver.Take<uint32_t>(2);
  return work;
}

constexpr int kMostSegments = (1 << 16) / kScan.segment + kMostIllSeeds / kScan.ill_segment;

template <class S>
cudaError_t QueueNaive(const TableView& tables, const SearchTask& task, CodeWord* codes,
                       cudaStream_t stream) {
  const LaunchShape thread_a_block{CeilDivide(task.count, kFinish.threads), 1, kFinish.threads};
  return LaunchQueue(stream)
      .Then(NaiveSearchKernel<S>, thread_a_block, tables, task, codes)
      .error();
}

template <class S>
cudaError_t QueueSliding(const TableView& tables, const SearchTask& task, const SearchPlan& plan,
                         const Workspace& work, CodeWord* codes, cudaStream_t stream) {
  constexpr int kThreads = kFinish.threads;
  constexpr int kWarps = kThreads / kWarpSize;
  const LaunchShape thread_a_block{CeilDivide(task.count, kThreads), 1, kThreads};
  const LaunchShape warp_a_block{CeilDivide(task.count, kWarps), 1, kThreads};
  const LaunchShape collect{warp_a_block.grid_x, 1, kThreads,
                            kWarps * kFinish.survivors * sizeof(uint32_t)};
  const LaunchShape scan{plan.scan_columns, plan.scan_parts, kScan.threads, ScanSharedBytes<S>()};
  const LaunchShape queue{plan.wide, 1, kThreads};
  const LaunchShape hard{plan.hard, 1, kFinish.hard_threads, sizeof(HardShared)};
  return LaunchQueue(stream)
      .Then([&] { return cudaMemsetAsync(work.counters, 0, 2 * sizeof(uint32_t), stream); })
      .Then(ScaleKernel<S>, thread_a_block, tables, task, work)
      .Then(ScanKernel<S>, scan, tables, task.count, work)
      .Then(TopKernel<S>, warp_a_block, tables, task.count, work)
      .Then(FirstKernel<S>, thread_a_block, tables, task, work)
      .Then(CollectKernel<S>, collect, tables, task.count, work)
      .Then(EvaluateKernel<S>, queue, tables, task, work)
      .Then(HardKernel<S>, hard, tables, task, work)
      .Then(ReduceKernel<S>, queue, work)
      .Then(ResolveKernel<S>, thread_a_block, task.count, work, codes)
      .error();
}

}  // namespace

size_t SearchScratchBytes(const codec::Profile& profile, int64_t count) {
  Carver counter(nullptr);
  Carve(profile, kMostSegments, count, counter);
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
  return WithShape(profile, [&](auto shape) {
    using S = decltype(shape);
    if (method == SearchMethod::kNaive) return QueueNaive<S>(tables, task, codes, stream);
    return QueueSliding<S>(tables, task, plan, work, codes, stream);
  });
}

}  // namespace seedlm::cuda
