// Seconds between two events of a stream.
#pragma once

#include "kernels/cuda/device.h"

namespace seedlm::bench {

class Timer {
 public:
  explicit Timer(cudaStream_t stream) : stream_(stream) {
    cudaEventCreate(&begin_);
    cudaEventCreate(&end_);
  }
  ~Timer() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Runs what `queue` queues, waits for it, and says how long the device took.
  template <typename Queue>
  cudaError_t Time(const Queue& queue, double& seconds) {
    cudaError_t error = cudaEventRecord(begin_, stream_);
    if (error == cudaSuccess) error = queue();
    if (error == cudaSuccess) error = cudaEventRecord(end_, stream_);
    if (error == cudaSuccess) error = cudaStreamSynchronize(stream_);
    float milliseconds = 0;
    if (error == cudaSuccess) error = cudaEventElapsedTime(&milliseconds, begin_, end_);
    seconds = 1e-3 * static_cast<double>(milliseconds);
    return error;
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

}  // namespace seedlm::bench
