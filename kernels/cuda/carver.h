// Cuts one piece of memory into aligned arrays; over a null base it only counts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seedlm::cuda {

class Carver {
 public:
  static constexpr size_t kAlignment = 256;

  explicit Carver(void* base) : base_(static_cast<std::byte*>(base)) {}

  template <typename T>
  T* Take(int64_t count) {
    T* at = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

}  // namespace seedlm::cuda
