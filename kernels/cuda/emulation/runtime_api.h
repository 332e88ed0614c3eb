// The part of the CUDA runtime that this room uses, on a machine without a GPU: devices with memory
// that can run out, calls that can be made to fail, and streams that do nothing until somebody
// waits for them, so that a result that is read too early is a wrong one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "kernels/cuda/emulation/kernel_language.h"

// CUDA's values.
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchFailure = 719,
};

enum cudaMemcpyKind {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3
};
inline constexpr unsigned cudaStreamNonBlocking = 1;
inline constexpr unsigned cudaHostAllocDefault = 0;

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int major, minor;
  int multiProcessorCount;
  int maxThreadsPerMultiProcessor;
  int pciDomainID, pciBusID, pciDeviceID;
};

using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();  // of this thread, which then has none
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaMemGetInfo(size_t* available, size_t* total);
cudaError_t cudaMalloc(void** memory, size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* memory);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaEventCreate(cudaEvent_t* event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
// REQUIRES: both have been reached.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);
cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream);

namespace seedlm::cuda::emulation {

// What the emulated machine has. Devices are alike.
struct Machine {
  int driver_version = 13000;  // 0: no driver
  int devices = 1;
  size_t memory = size_t{4} << 30;  // bytes a device
  int processors = 4;
  int major = 9;
  bool cublas = true;
};

// Replaces the machine; allocations that live are kept and counted on. Not while anything runs.
void SetMachine(const Machine& machine);

// The call of that name ("cudaMalloc", "launch", ..) fails with `error` after `calls` more have
// succeeded, and each time from then on: on `device`, or on all for -1. Replaces what was set
// before; cudaSuccess: nothing fails.
void SetFault(const std::string& call, cudaError_t error, int calls = 0, int device = -1);

// What was wrong with the last kernel that failed on this thread ("cudaErrorLaunchFailure").
std::string LastKernelFault();

// Bytes that are allocated on a device now, and at most since SetMachine.
size_t AllocatedBytes(int device = 0);
size_t PeakBytes(int device = 0);

bool HasCublas();

// Queues a kernel. Errors of an execution come from the stream's next synchronisation.
cudaError_t Enqueue(cudaStream_t stream, Dim3 grid, Dim3 block, size_t shared_bytes,
                    std::function<void()> body);

}  // namespace seedlm::cuda::emulation
