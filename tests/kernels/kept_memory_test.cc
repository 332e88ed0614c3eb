#include "kernels/cpu/kept_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace seedlm::cpu {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

#ifndef SEEDLM_ASAN  // where vectors are operator new's
TEST_CASE("memory that one vector gave back is the next one's", "[kept_memory]") {
  const void* before = nullptr;
  {
    KeptVector<float> first(kMiB);
    before = first.data();
  }
  const size_t kept = KeptMemory::usage().kept;
  CHECK(kept >= 4 * kMiB);
  const KeptVector<float> second(kMiB - 100, 7.0f);
  CHECK(second.data() == before);
  CHECK(KeptMemory::usage().kept == kept - 4 * kMiB);
  CHECK(second.front() == 7.0f);
  CHECK(second.back() == 7.0f);
}

TEST_CASE("small vectors are not kept, and large pieces wait for large vectors", "[kept_memory]") {
  const KeptMemory::Usage before = KeptMemory::usage();
  { const KeptVector<float> small(1000); }
  CHECK(KeptMemory::usage().kept == before.kept);
  const void* large = nullptr;
  {
    const KeptVector<std::byte> vector(64 * kMiB);
    large = vector.data();
  }
  const KeptVector<std::byte> other(2 * kMiB);
  CHECK(other.data() != large);
}
#endif

TEST_CASE("never more is held than was in use at once", "[kept_memory]") {
  std::mt19937 random(1);
  std::vector<KeptVector<std::byte>> vectors(6);
  for (int i = 0; i < 500; ++i) {
    KeptVector<std::byte>& vector = vectors[random() % vectors.size()];
    KeptVector<std::byte>().swap(vector);
    vector.resize(kMiB + random() % (12 * kMiB));
    const KeptMemory::Usage usage = KeptMemory::usage();
    REQUIRE(usage.in_use + usage.kept <= usage.peak);
  }
  vectors.clear();
  const KeptMemory::Usage usage = KeptMemory::usage();
  CHECK(usage.in_use == 0);
  CHECK(usage.kept <= usage.peak);
}

// Kilobytes that the system may take of the mapping that `memory` lies in; -1: it does not tell.
long LazyFree(const void* memory) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0;
    long size = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<uintptr_t>(memory);
      inside = begin <= at && at < end;
    } else if (inside && std::sscanf(line.c_str(), "LazyFree: %ld kB", &size) == 1) {
      return size;
    }
  }
  return -1;
}

TEST_CASE("what is kept is the system's if it wants it", "[kept_memory]") {
  constexpr size_t kBytes = 16 * kMiB;
  void* const memory = KeptMemory::Take(kBytes);
  std::memset(memory, 1, kBytes);
  const long before = LazyFree(memory);
  KeptMemory::GiveBack(memory);
  if (before < 0) {
    WARN("skipped: this system does not tell what is free");
    return;
  }
  CHECK(before == 0);
  CHECK(LazyFree(memory) >= static_cast<long>(kBytes / 1024));
}

TEST_CASE("where a new piece has no room, those that are kept make it", "[kept_memory]") {
  KeptMemory::GiveBack(KeptMemory::Take(64 * kMiB));
  REQUIRE(KeptMemory::usage().kept >= 64 * kMiB);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  std::ifstream statm("/proc/self/statm");
  size_t pages = 0;
  REQUIRE(statm >> pages);
  const rlimit tight{pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) + 48 * kMiB,
                     before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
  void* memory = nullptr;
  CHECK_NOTHROW(memory = KeptMemory::Take(96 * kMiB));
  REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
  if (memory != nullptr) KeptMemory::GiveBack(memory);
}

TEST_CASE("no two of several threads get the same memory", "[kept_memory]") {
  std::vector<std::jthread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      for (int i = 0; i < 100; ++i) {
        const KeptVector<uint8_t> mine(kMiB + static_cast<size_t>(i), static_cast<uint8_t>(t));
        for (const uint8_t byte : mine) wrong[static_cast<size_t>(t)] += byte != t;
      }
    });
  }
  threads.clear();
  CHECK(wrong == std::vector<int>(4));
}

TEST_CASE("what the system does not have is bad_alloc", "[kept_memory]") {
  CHECK_THROWS_AS(KeptMemory::Take(size_t{1} << 60), std::bad_alloc);
}

}  // namespace
}  // namespace seedlm::cpu
