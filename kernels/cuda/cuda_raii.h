// Owners of CUDA's resources. Each belongs to the device that was current when it was made, and may
// be destroyed while another is. Destructors do not report errors: who cares synchronises first.
#pragma once

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/device.h"

namespace seedlm::cuda {

// A movable owner of a handle with one function that frees it.
template <typename Handle, cudaError_t (*free)(Handle)>
class Owner {
 public:
  Owner() = default;
  explicit Owner(Handle handle) : handle_(handle) {}
  Owner(Owner&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owner& operator=(Owner&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owner() {
    if (handle_ != nullptr) free(handle_);
  }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};

using Stream = Owner<cudaStream_t, &cudaStreamDestroy>;
using DeviceMemory = Owner<void*, &cudaFree>;
using PinnedMemory = Owner<void*, &cudaFreeHost>;

// A stream that does not wait for the default one.
inline absl::StatusOr<Stream> MakeStream() {
  cudaStream_t stream = nullptr;
  if (const cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
      error != cudaSuccess) {
    return ToStatus(error, "cudaStreamCreate");
  }
  return Stream(stream);
}

inline absl::StatusOr<DeviceMemory> MakeDeviceMemory(size_t bytes) {
  void* memory = nullptr;
  if (const cudaError_t error = cudaMalloc(&memory, bytes); error != cudaSuccess) {
    return ToStatus(error, absl::StrCat("cudaMalloc of ", bytes, " bytes"));
  }
  return DeviceMemory(memory);
}

inline absl::StatusOr<PinnedMemory> MakePinnedMemory(size_t bytes) {
  void* memory = nullptr;
  if (const cudaError_t error = cudaHostAlloc(&memory, bytes, cudaHostAllocDefault);
      error != cudaSuccess) {
    return ToStatus(error, absl::StrCat("cudaHostAlloc of ", bytes, " bytes"));
  }
  return PinnedMemory(memory);
}

}  // namespace seedlm::cuda
