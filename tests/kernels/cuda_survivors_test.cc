// A thread block's list of survivors: whatever has no room in it or in the queue, none is lost.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <utility>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/events.h"
#include "kernels/cuda/survivor_list.h"

namespace seedlm::cuda {
namespace {

constexpr unsigned kThreads = 64, kBlocks = 8, kRounds = 3;
using List = SurvivorList<100>;

// Each thread has a survivor a round, seeds that no other has; the list is flushed after each.
void PushKernel(Workspace work, uint32_t* marks) {
  auto& list = SharedMemory<List>();
  if (threadIdx.x == 0) list.Clear();
  const uint32_t first = blockIdx.x * kBlocks;
  for (unsigned round = 0; round < kRounds; ++round) {
    __syncthreads();
    for (unsigned i = 0; i <= round; ++i) {
      const uint32_t block = threadIdx.x % kBlocks;
      const uint32_t seed = 1 + threadIdx.x + kThreads * (i + kRounds * round);
      if (!list.Push(block, seed)) PushEntry(work, marks, first + block, seed);
    }
    __syncthreads();
    list.Flush(work, marks, [&](uint32_t block) { return first + block; });
  }
}

TEST_CASE("survivors are in the queue, or their block is hard", "[cuda][survivors]") {
  constexpr int kGrid = 2;
  const uint32_t capacity = GENERATE(0u, 1u, 70u, 64u, 164u, 383u, 768u, 5000u);
  CAPTURE(capacity);
  std::vector<uint32_t> blocks(5000, kNone), seeds(5000, kNone), hard(kGrid * kBlocks, kNone);
  std::vector<uint32_t> counters(2, 0), marks(kGrid * kBlocks, 0);
  Workspace work{};
  work.queue_block = blocks.data();
  work.queue_seed = seeds.data();
  work.hard_blocks = hard.data();
  work.counters = counters.data();
  work.queue_capacity = capacity;
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  auto& alone = event_counts[static_cast<size_t>(Event::kAlone)];
  alone = 0;
  REQUIRE(Launch(PushKernel, {kGrid, 1, kThreads, sizeof(List)}, stream, work, marks.data()) ==
          cudaSuccess);
  REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
  cudaStreamDestroy(stream);

  std::set<std::pair<uint32_t, uint32_t>> queued;
  for (uint32_t i = 0; i < std::min(counters[0], capacity); ++i) {
    CHECK(queued.emplace(blocks[i], seeds[i]).second);
  }
  CHECK(std::count(blocks.begin() + capacity, blocks.end(), kNone) == 5000 - capacity);
  const std::set<uint32_t> hard_ones(hard.begin(), hard.begin() + counters[1]);
  CHECK(hard_ones.size() == counters[1]);  // each once
  constexpr uint32_t kAll = kGrid * kThreads * (kRounds * (kRounds + 1) / 2);
  CHECK((counters[1] == 0) == (capacity >= kAll));
  if (capacity >= kAll) CHECK(queued.size() == kAll);
  if (capacity >= kAll)
    CHECK(alone == kGrid * (28 + 92));  // 64 a round, then 128, then 192: 100 fit
  int lost = 0;
  for (uint32_t g = 0; g < kGrid; ++g) {
    for (unsigned round = 0; round < kRounds; ++round) {
      for (unsigned i = 0; i <= round; ++i) {
        for (unsigned t = 0; t < kThreads; ++t) {
          const uint32_t block = g * kBlocks + t % kBlocks;
          const uint32_t seed = 1 + t + kThreads * (i + kRounds * round);
          lost += !queued.contains({block, seed}) && !hard_ones.contains(block);
        }
      }
    }
  }
  CHECK(lost == 0);
}

}  // namespace
}  // namespace seedlm::cuda
