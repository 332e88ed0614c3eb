#include "kernels/cuda/emulation/runtime_api.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

using seedlm::cuda::emulation::Machine;

struct EmulatedStream {
  int device;
  std::deque<std::function<cudaError_t()>> work;
  cudaError_t failed = cudaSuccess;  // sticky
};

struct EmulatedEvent {
  std::chrono::steady_clock::time_point reached;
};

namespace {

constexpr int kMaxDevices = 8;
constexpr int kRuntimeVersion = 13000;
thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

cudaError_t Fail(cudaError_t error) { return last_error = error; }

struct State {
  std::mutex mutex;  // guards all below
  Machine machine;
  std::map<void*, std::pair<int, size_t>> allocations;  // device, bytes
  size_t allocated[kMaxDevices] = {};
  size_t peak[kMaxDevices] = {};
  std::string faulty_call;
  cudaError_t fault = cudaSuccess;
  int calls_before_fault = 0;
  int faulty_device = -1;

  static State& Get() {
    static State state;
    return state;
  }
};

Machine TheMachine() {
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  return state.machine;
}

std::string& LastFaultOfThread() {
  static thread_local std::string fault;
  return fault;
}

cudaError_t FaultOf(const char* call, int device) {
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  if (state.fault == cudaSuccess || state.faulty_call != call) return cudaSuccess;
  if (state.faulty_device >= 0 && state.faulty_device != device) return cudaSuccess;
  if (state.calls_before_fault-- > 0) return cudaSuccess;
  state.calls_before_fault = 0;
  return Fail(state.fault);
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
  }
  return "unknown error";
}

const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaDriverGetVersion(int* version) {
  *version = TheMachine().driver_version;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = kRuntimeVersion;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  const Machine machine = TheMachine();
  *count = machine.devices;
  if (machine.driver_version < kRuntimeVersion) return cudaErrorInsufficientDriver;
  return machine.devices == 0 ? cudaErrorNoDevice : cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= TheMachine().devices) return cudaErrorInvalidDevice;
  current_device = device;
  return FaultOf("cudaSetDevice", device);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const Machine machine = TheMachine();
  if (device < 0 || device >= machine.devices) return cudaErrorInvalidDevice;
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "emulated device");
  properties->totalGlobalMem = machine.memory;
  properties->major = machine.major;
  properties->multiProcessorCount = machine.processors;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->pciBusID = 0x1B + device;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  *total = state.machine.memory;
  *available = *total - std::min(*total, state.allocated[current_device]);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (const cudaError_t error = FaultOf("cudaMalloc", current_device); error != cudaSuccess) {
    return error;
  }
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  size_t& allocated = state.allocated[current_device];
  if (bytes > state.machine.memory - std::min(state.machine.memory, allocated)) {
    return Fail(cudaErrorMemoryAllocation);
  }
  *memory = std::malloc(bytes);
  if (*memory == nullptr) return Fail(cudaErrorMemoryAllocation);
  state.allocations[*memory] = {current_device, bytes};
  allocated += bytes;
  state.peak[current_device] = std::max(state.peak[current_device], allocated);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  const auto found = state.allocations.find(memory);
  if (found == state.allocations.end()) return cudaErrorInvalidValue;
  state.allocated[found->second.first] -= found->second.second;
  state.allocations.erase(found);
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  if (const cudaError_t error = FaultOf("cudaHostAlloc", current_device); error != cudaSuccess) {
    return error;
  }
  *memory = std::malloc(bytes);
  return *memory == nullptr ? Fail(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFreeHost(void* memory) {
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new EmulatedStream{current_device, {}};
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const cudaError_t error = cudaStreamSynchronize(stream);
  delete stream;
  return error;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  while (!stream->work.empty() && stream->failed == cudaSuccess) {
    const auto next = std::move(stream->work.front());
    stream->work.pop_front();
    stream->failed = next();
  }
  if (stream->failed != cudaSuccess) {
    stream->work.clear();
    return stream->failed;
  }
  return FaultOf("cudaStreamSynchronize", stream->device);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  stream->work.push_back([=] {
    if (bytes > 0) std::memcpy(to, from, bytes);  // null may stand for nothing, as with CUDA
    return cudaSuccess;
  });
  return FaultOf("cudaMemcpyAsync", stream->device);
}

cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream) {
  stream->work.push_back([=] {
    std::memset(at, value, bytes);
    return cudaSuccess;
  });
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  stream->work.push_back([=] {
    event->reached = std::chrono::steady_clock::now();
    return cudaSuccess;
  });
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->reached - begin->reached).count();
  return cudaSuccess;
}

namespace seedlm::cuda::emulation {

void SetMachine(const Machine& machine) {
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  state.machine = machine;
  std::copy(std::begin(state.allocated), std::end(state.allocated), std::begin(state.peak));
}

void SetFault(const std::string& call, cudaError_t error, int calls, int device) {
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  state.faulty_call = call;
  state.fault = error;
  state.calls_before_fault = calls;
  state.faulty_device = device;
}

std::string LastKernelFault() { return LastFaultOfThread(); }

size_t AllocatedBytes(int device) {
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  return state.allocated[device];
}

size_t PeakBytes(int device) {
  State& state = State::Get();
  const std::lock_guard lock(state.mutex);
  return state.peak[device];
}

bool HasCublas() { return TheMachine().cublas; }

cudaError_t Enqueue(cudaStream_t stream, Dim3 grid, Dim3 block, size_t shared_bytes,
                    std::function<void()> body) {
  stream->work.push_back([=, body = std::move(body), device = stream->device] {
    if (const cudaError_t fault = FaultOf("kernel", device); fault != cudaSuccess) return fault;
    const std::string wrong = RunGrid(grid, block, shared_bytes, body);
    if (wrong.empty()) return cudaSuccess;
    LastFaultOfThread() = wrong;
    return cudaErrorLaunchFailure;
  });
  return FaultOf("launch", stream->device);
}

}  // namespace seedlm::cuda::emulation
