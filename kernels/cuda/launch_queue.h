// Queues kernels on a stream until one fails.
#pragma once

#include "kernels/cuda/device.h"
#include "kernels/cuda/launch_watcher.h"

namespace seedlm::cuda {

class LaunchQueue {
 public:
  explicit LaunchQueue(cudaStream_t stream) : stream_(stream) {}

  template <typename Kernel, typename... Arguments>
  LaunchQueue& Then(Kernel kernel, const LaunchShape& shape, Arguments... arguments) {
    if (error_ != cudaSuccess) return *this;
    LaunchWatcher* const watcher = launch_watcher;
    if (watcher != nullptr) {
      (watcher->Argument(typeid(Arguments), &arguments), ...);
      watcher->Before(reinterpret_cast<const void*>(kernel), stream_);
    }
    error_ = Launch(kernel, shape, stream_, arguments...);
    if (watcher != nullptr) watcher->After(stream_);
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
