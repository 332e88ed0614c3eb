// Memory for what every batch needs anew: what one gives back, the next one takes.
//
// The system clears each page that it hands out, which for one batch of 140 MB after another was 4
// % of a job's time. Kept memory stays mapped, and is marked as free: a system that is short of
// memory takes it without asking. Never more is held than was in use at once.
#pragma once

#include <cstddef>
#include <limits>
#include <new>
#include <vector>

namespace seedlm::cpu {

// Of the process. Thread-safe.
class KeptMemory {
 public:
  // On huge pages where the system has them: batches are read at random. Contents are arbitrary.
  // Throws std::bad_alloc. REQUIRES: bytes > 0.
  static void* Take(size_t bytes);
  // REQUIRES: `memory` is of Take and was not given back yet.
  static void GiveBack(void* memory) noexcept;

  // Bytes.
  struct Usage {
    size_t in_use = 0;  // what was taken has up to a quarter more than was asked for
    size_t kept = 0;    // for the next
    size_t peak = 0;    // of what was in use at once
  };
  static Usage usage();
};

// For vectors: large ones are of KeptMemory.
template <typename T>
struct KeptAllocator {
  using value_type = T;
  KeptAllocator() = default;
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators of other types convert.
  KeptAllocator(const KeptAllocator<U>&) {}

  T* allocate(size_t n) {
    const size_t bytes = n * sizeof(T);
    return static_cast<T*>(bytes < kLarge ? ::operator new(bytes) : KeptMemory::Take(bytes));
  }
  void deallocate(T* memory, size_t n) noexcept {
    if (n * sizeof(T) < kLarge) {
      ::operator delete(memory);
    } else {
      KeptMemory::GiveBack(memory);
    }
  }
  bool operator==(const KeptAllocator&) const { return true; }

 private:
#ifdef SEEDLM_ASAN  // which knows the bounds of what operator new gives
  static constexpr size_t kLarge = std::numeric_limits<size_t>::max();
#else
  static constexpr size_t kLarge = size_t{1} << 20;
#endif
};

template <typename T>
using KeptVector = std::vector<T, KeptAllocator<T>>;

}  // namespace seedlm::cpu
