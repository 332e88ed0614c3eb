// Memory for what every batch needs anew: what one gives back, the next one takes.
//
// The system clears each page that it hands out: with batches of 150 MB one after another that took
// a twentieth of the search's time. Kept memory stays mapped. It is marked as free, so that a
// system that is short of memory takes it without asking, and never more is held than was in use at
// once.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace seedlm::cpu {

// Of the process. Thread-safe.
class KeptMemory {
 public:
  // On huge pages where the system has them: batches are read at random. Contents are arbitrary.
  // Throws std::bad_alloc. REQUIRES: bytes > 0.
  static void* Take(size_t bytes);
  static void GiveBack(void* memory) noexcept;

  // Bytes that are mapped: in use, and kept for the next.
  struct Usage {
    size_t in_use = 0, kept = 0, peak_in_use = 0;
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
  static constexpr size_t kLarge = size_t{1} << 20;
};

template <typename T>
using KeptVector = std::vector<T, KeptAllocator<T>>;

}  // namespace seedlm::cpu
