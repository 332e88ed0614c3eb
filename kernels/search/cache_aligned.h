// Memory for vectors of the machine.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace seedlm::search {

// Allocates at cache line boundaries, so that full vectors never straddle two lines needlessly, and
// what is large on huge pages where the system has them: tables are read at random.
template <typename T>
struct CacheAligned {
  using value_type = T;
  CacheAligned() = default;
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators of other types convert.
  CacheAligned(const CacheAligned<U>&) {}
  T* allocate(size_t n) {
    const size_t bytes = n * sizeof(T);
    void* memory = ::operator new(bytes, Alignment(bytes));
#ifdef MADV_HUGEPAGE
    if (bytes >= kHuge) ::madvise(memory, bytes / kHuge * kHuge, MADV_HUGEPAGE);
#endif
    return static_cast<T*>(memory);
  }
  void deallocate(T* p, size_t n) { ::operator delete(p, Alignment(n * sizeof(T))); }
  bool operator==(const CacheAligned&) const { return true; }

 private:
  static constexpr size_t kLine = 64;
  static constexpr size_t kHuge = size_t{2} << 20;
  static std::align_val_t Alignment(size_t bytes) {
    return std::align_val_t{bytes >= kHuge ? kHuge : kLine};
  }
};

}  // namespace seedlm::search
