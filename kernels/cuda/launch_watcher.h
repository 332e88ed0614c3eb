// For programs that measure launches: LaunchQueue (launch_queue.h) tells whoever watches.
#pragma once

#include <typeinfo>

#include "kernels/cuda/device.h"

namespace seedlm::cuda {

class LaunchWatcher {
 public:
  virtual ~LaunchWatcher() = default;

  // Around each launch of a kernel on `stream`, in their order.
  virtual void Before(const void* kernel, cudaStream_t stream) = 0;
  virtual void After(cudaStream_t stream) = 0;
  // What the kernel gets, one call an argument, before the launch; valid during the call only.
  virtual void Argument(const std::type_info& type, const void* argument) = 0;
};

// Of the calling thread, not owned; null (what it is everywhere else): nobody watches.
inline thread_local LaunchWatcher* launch_watcher = nullptr;

}  // namespace seedlm::cuda
