// Runs the threads of a CUDA block as fibres of the calling thread, one block after the other.
//
// A fibre runs until it waits for others (barrier, warp exchange) or ends; which one goes on next
// is the schedule's choice, so that a missing barrier shows as a wrong result under one of them.
// Nothing runs in parallel: what only real concurrency breaks is not found here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace seedlm::cuda::emulation {

struct Dim3 {
  constexpr Dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned x, y, z;
};

inline constexpr int kWarp = 32;

// The order in which waiting fibres are looked at.
enum class Schedule : uint8_t { kAscending, kDescending, kShuffled };

// Of all launches that follow, on all threads. Default: ascending.
void SetSchedule(Schedule schedule);

// Calls body() once for every thread of every block. `shared_bytes` of dynamic shared memory,
// filled with 0xCD before each block. Returns "" or what was wrong: threads that wait for each
// other for ever; lanes of a warp that do not all take part in an exchange. Thread-safe.
std::string RunGrid(Dim3 grid, Dim3 block, size_t shared_bytes, const std::function<void()>& body);

// For kernels, while RunGrid runs them.
const Dim3& GridSize();
const Dim3& BlockSize();
const Dim3& BlockIndex();
const Dim3& ThreadIndex();
void* DynamicShared();  // 64-byte aligned
void SyncThreads();

// Every living lane of the warp gives `value` (at most 8 bytes) and gets lane `from`'s; a lane that
// is not there gives its own back. REQUIRES: all living lanes are in `mask` and call this.
uint64_t Exchange(unsigned mask, uint64_t value, int from);
// The same, with every lane's value; of lanes that are not there, 0.
void Gather(unsigned mask, uint64_t value, uint64_t (&all)[kWarp]);
// One bit a lane: whether its `value` is true.
unsigned Ballot(unsigned mask, bool value);
int LaneIndex();

}  // namespace seedlm::cuda::emulation
