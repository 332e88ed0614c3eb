// Memory for vectors of the machine.
#pragma once

#include <cstddef>
#include <new>

namespace seedlm::search {

// Allocates at cache line boundaries, so that full vectors never straddle two lines needlessly.
template <typename T>
struct CacheAligned {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};
  CacheAligned() = default;
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators of other types convert.
  CacheAligned(const CacheAligned<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kAlignment)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kAlignment); }
  bool operator==(const CacheAligned&) const { return true; }
};

}  // namespace seedlm::search
