// The one mapping from CUDA's errors to Status.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "kernels/cuda/device.h"

namespace seedlm::cuda {

// RESOURCE_EXHAUSTED: out of memory, of the device or pinned. FAILED_PRECONDITION: no driver or no
// device. INVALID_ARGUMENT never: a bad argument of a CUDA call is a fault of this code, INTERNAL.
// UNAVAILABLE: all else; the device is lost to this process.
inline absl::StatusCode CodeOf(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return absl::StatusCode::kOk;
    case cudaErrorMemoryAllocation:
      return absl::StatusCode::kResourceExhausted;
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
      return absl::StatusCode::kFailedPrecondition;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidDevice:
      return absl::StatusCode::kInternal;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

// "cudaMalloc of 64 bytes: out of memory (cudaErrorMemoryAllocation)". An error that is told is
// taken from the thread: CUDA keeps the last one for whoever asks next, cuBLAS for instance.
inline absl::Status ToStatus(cudaError_t error, std::string_view call) {
  if (error == cudaSuccess) return absl::OkStatus();
  cudaGetLastError();
  return absl::Status(CodeOf(error),
                      absl::StrCat(std::string(call), ": ", cudaGetErrorString(error), " (",
                                   cudaGetErrorName(error), ")"));
}

// Whether another device may do what this one could not.
inline bool IsDeviceFailure(const absl::Status& status) {
  return status.code() == absl::StatusCode::kResourceExhausted ||
         status.code() == absl::StatusCode::kFailedPrecondition ||
         status.code() == absl::StatusCode::kInternal ||
         status.code() == absl::StatusCode::kUnavailable;
}

}  // namespace seedlm::cuda
