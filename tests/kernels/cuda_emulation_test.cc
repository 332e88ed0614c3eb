// The emulation of CUDA itself: what it runs, and what it finds wrong.
#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "kernels/cuda/device.h"
#include "tests/kernels/emulated_machine.h"

namespace seedlm::cuda {
namespace {

using emulation::Schedule;

constexpr Schedule kSchedules[] = {Schedule::kAscending, Schedule::kDescending,
                                   Schedule::kShuffled};

// out[i] = sum of the numbers 0 .. i of the block's threads, by way of shared memory.
// Unsigned: without the barrier it adds what nobody has written.
void PrefixSumKernel(unsigned* out, bool with_barrier) {
  unsigned* shared = &SharedMemory<unsigned>();
  const unsigned me = threadIdx.x;
  shared[me] = me;
  if (with_barrier) __syncthreads();
  unsigned sum = 0;
  for (unsigned i = 0; i <= me; ++i) sum += shared[i];
  out[blockIdx.x * blockDim.x + me] = sum;
}

TEST_CASE("threads of a block meet at barriers, in any order", "[cuda][emulation]") {
  const Schedule schedule =
      GENERATE(Schedule::kAscending, Schedule::kDescending, Schedule::kShuffled);
  emulation::SetSchedule(schedule);
  const TestStream stream;
  constexpr unsigned kNothing = ~0u;
  std::vector<unsigned> out(2 * 100, kNothing);
  REQUIRE(Launch(PrefixSumKernel, {2, 1, 100, 100 * sizeof(unsigned)}, stream.stream, out.data(),
                 true) == cudaSuccess);
  CHECK(out[99] == kNothing);  // nothing runs before somebody waits for it
  REQUIRE(cudaStreamSynchronize(stream.stream) == cudaSuccess);
  for (unsigned i = 0; i < 100; ++i) {
    CHECK(out[i] == i * (i + 1) / 2);
    CHECK(out[100 + i] == i * (i + 1) / 2);
  }
  emulation::SetSchedule(Schedule::kAscending);
}

TEST_CASE("a missing barrier shows under some schedule", "[cuda][emulation]") {
  int wrong = 0;
  for (const Schedule schedule : kSchedules) {
    emulation::SetSchedule(schedule);
    const TestStream stream;
    std::vector<unsigned> out(100);
    REQUIRE(Launch(PrefixSumKernel, {1, 1, 100, 100 * sizeof(unsigned)}, stream.stream, out.data(),
                   false) == cudaSuccess);
    REQUIRE(cudaStreamSynchronize(stream.stream) == cudaSuccess);
    wrong += out[99] != 99 * 100 / 2;
  }
  emulation::SetSchedule(Schedule::kAscending);
  CHECK(wrong == 2);  // all but ascending: threads that never wait run one after the other
}

void WarpKernel(int* shuffled, unsigned* ballots, int* sums) {
  const int me = static_cast<int>(threadIdx.x);
  const int lane = me % kWarpSize;
  shuffled[me] = __shfl_sync(kWholeWarp, me, (lane + 1) % kWarpSize);
  ballots[me] = __ballot_sync(kWholeWarp, me % 3 == 0);
  int sum = me;
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kWholeWarp, sum, step);
  sums[me] = sum;
}

TEST_CASE("lanes exchange values within their warp", "[cuda][emulation]") {
  const Schedule schedule =
      GENERATE(Schedule::kAscending, Schedule::kDescending, Schedule::kShuffled);
  emulation::SetSchedule(schedule);
  const TestStream stream;
  std::vector<int> shuffled(64), sums(64);
  std::vector<unsigned> ballots(64);
  REQUIRE(Launch(WarpKernel, {1, 1, 64}, stream.stream, shuffled.data(), ballots.data(),
                 sums.data()) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(stream.stream) == cudaSuccess);
  for (int i = 0; i < 64; ++i) {
    const auto at = static_cast<size_t>(i);
    CHECK(shuffled[at] == (i % 32 == 31 ? i - 31 : i + 1));
    unsigned expected = 0;
    for (int lane = 0; lane < 32; ++lane) {
      if ((i / 32 * 32 + lane) % 3 == 0) expected |= 1u << lane;
    }
    CHECK(ballots[at] == expected);
    CHECK(sums[at] == (i < 32 ? 31 * 32 / 2 : 31 * 32 / 2 + 32 * 32));
  }
  emulation::SetSchedule(Schedule::kAscending);
}

void LeavesSomeWaitingKernel() {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncwarp();
  }
}

void PartOfAWarpKernel() { __ballot_sync(0x0000FFFFu, true); }

TEST_CASE("kernels that would hang or mean nothing are reported", "[cuda][emulation]") {
  const auto [kernel, fault] = GENERATE(
      std::pair{&LeavesSomeWaitingKernel, "threads of a block wait for each other for ever"},
      std::pair{&PartOfAWarpKernel, "an exchange of a part of a warp is not emulated"});
  const TestStream stream;
  REQUIRE(Launch(kernel, {1, 1, 32}, stream.stream) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream.stream) == cudaErrorLaunchFailure);
  CHECK(emulation::LastKernelFault() == fault);
}

void CountKernel(unsigned* counter) { atomicAdd(counter, 1u); }

TEST_CASE("grids of several dimensions run whole", "[cuda][emulation]") {
  const TestStream stream;
  unsigned counter = 0;
  REQUIRE(Launch(CountKernel, {3, 5, 7}, stream.stream, &counter) == cudaSuccess);
  REQUIRE(Launch(CountKernel, {0, 5, 7}, stream.stream, &counter) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(stream.stream) == cudaSuccess);
  CHECK(counter == 3 * 5 * 7);
}

TEST_CASE("memory ends where the machine's does", "[cuda][emulation]") {
  emulation::Machine machine;
  machine.memory = emulation::AllocatedBytes() + 1000;
  emulation::SetMachine(machine);
  void* first = nullptr;
  void* second = nullptr;
  CHECK(cudaMalloc(&first, 600) == cudaSuccess);
  CHECK(cudaMalloc(&second, 600) == cudaErrorMemoryAllocation);
  CHECK(cudaFree(first) == cudaSuccess);
  CHECK(cudaMalloc(&second, 600) == cudaSuccess);
  CHECK(cudaFree(second) == cudaSuccess);
  CHECK(cudaFree(second) == cudaErrorInvalidValue);
  emulation::SetMachine({});
}

}  // namespace
}  // namespace seedlm::cuda
