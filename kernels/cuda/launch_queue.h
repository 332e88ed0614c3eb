// Queues kernels on a stream until one fails.
#pragma once

#include "kernels/cuda/device.h"

namespace seedlm::cuda {

class LaunchQueue {
 public:
  explicit LaunchQueue(cudaStream_t stream) : stream_(stream) {}

  template <typename Kernel, typename... Arguments>
  LaunchQueue& Then(Kernel kernel, const LaunchShape& shape, Arguments... arguments) {
    if (error_ == cudaSuccess) error_ = Launch(kernel, shape, stream_, arguments...);
    return *this;
  }
  // Whatever another call returned: cudaMemcpyAsync, a search.
  template <typename Call>
  LaunchQueue& Then(const Call& call) {
    if (error_ == cudaSuccess) error_ = call();
    return *this;
  }
  cudaError_t error() const { return error_; }

 private:
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace seedlm::cuda
