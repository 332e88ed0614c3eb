#include "kernels/codec/shape.h"
#include "kernels/cuda/carver.h"
#include "kernels/cuda/encode_batch.h"
#include "kernels/cuda/encode_batch_kernel.h"
#include "kernels/cuda/launch_queue.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::cuda {
namespace {

struct BatchMemory {
  std::byte* source;
  std::byte* result;
  float* blocks;
  CodeWord* codes;
  Loss* losses;
  std::byte* scratch;
};

BatchMemory Carve(const codec::Profile& profile, int64_t blocks, Carver& carver) {
  BatchMemory memory;
  memory.source = carver.Take<std::byte>(static_cast<int64_t>(MaxSourceBytes(profile, blocks)));
  memory.result = carver.Take<std::byte>(static_cast<int64_t>(MaxResultBytes(blocks)));
  memory.blocks = carver.Take<float>(blocks * profile.block);
  memory.codes = carver.Take<CodeWord>(blocks);
  memory.losses = carver.Take<Loss>(blocks);
  memory.scratch =
      carver.Take<std::byte>(static_cast<int64_t>(SearchScratchBytes(profile, blocks)));
  return memory;
}

template <class S>
cudaError_t QueueFor(SearchMethod method, const backend::EncodeSpec& spec, const BatchRows& rows,
                     const TableView& tables, int processors, const std::byte* source,
                     const BatchMemory& memory, std::byte* result, cudaStream_t stream) {
  constexpr int kThreads = kFinish.threads;
  const int64_t count = rows.count();
  const LaunchShape thread_a_block{CeilDivide(count, kThreads), 1, kThreads};
  const int64_t level_bytes = rows.rows * codec::LevelRowBytes(spec.profile, rows.blocks_per_row);
  const LaunchShape thread_a_level_byte{CeilDivide(level_bytes, kThreads), 1, kThreads};
  const LaunchShape block_a_row{static_cast<int>(rows.rows), 1, kSumThreads,
                                kSumThreads * sizeof(Loss)};
  const ResultLayout layout(spec.profile, rows);
  auto* first_bad = reinterpret_cast<unsigned long long*>(memory.result + layout.first_bad);
  auto* losses = reinterpret_cast<Loss*>(memory.result + layout.losses);
  auto* words = reinterpret_cast<uint32_t*>(memory.result + layout.words);
  auto* levels = reinterpret_cast<uint8_t*>(memory.result + layout.levels);
  return LaunchQueue(stream)
      .Then([&] {
        return cudaMemcpyAsync(memory.source, source, static_cast<size_t>(rows.bytes()),
                               cudaMemcpyHostToDevice, stream);
      })
      .Then([&] { return cudaMemsetAsync(first_bad, 0xFF, sizeof *first_bad, stream); })
      .Then(LoadKernel<S>, thread_a_block, rows, memory.source, memory.blocks, first_bad)
      .Then([&] {
        return QueueSearch(
            method, spec.profile, tables, {spec.fit, spec.levels, count, memory.blocks},
            MakeSearchPlan(tables, count, processors), memory.scratch, memory.codes, stream);
      })
      .Then(PackKernel<S>, thread_a_block, rows, memory.blocks, memory.codes, spec.levels, words,
            memory.losses)
      .Then(PackLevelsKernel<S>, thread_a_level_byte, rows, memory.codes, levels)
      .Then(SumRowsKernel<S>, block_a_row, rows, memory.losses, losses)
      .Then([&] {
        return cudaMemcpyAsync(result, memory.result, layout.bytes, cudaMemcpyDeviceToHost, stream);
      })
      .error();
}

}  // namespace

size_t MaxSourceBytes(const codec::Profile& profile, int64_t blocks) {
  return static_cast<size_t>(blocks * profile.block) * sizeof(float);
}

// A row of its own for every block is the most.
size_t MaxResultBytes(int64_t blocks) {
  return sizeof(unsigned long long) +
         static_cast<size_t>(blocks) * (sizeof(Loss) + sizeof(uint32_t) + 1);
}

size_t BatchDeviceBytes(const codec::Profile& profile, int64_t blocks) {
  Carver counter(nullptr);
  Carve(profile, blocks, counter);
  return counter.used();
}

cudaError_t QueueBatch(SearchMethod method, const backend::EncodeSpec& spec, const BatchRows& rows,
                       const TableView& tables, int processors, const std::byte* source,
                       std::byte* memory, std::byte* result, cudaStream_t stream) {
  Carver carver(memory);
  const BatchMemory parts = Carve(spec.profile, rows.count(), carver);
  return codec::WithShape(spec.profile, [&](auto shape) {
    return QueueFor<decltype(shape)>(method, spec, rows, tables, processors, source, parts, result,
                                     stream);
  });
}

}  // namespace seedlm::cuda
