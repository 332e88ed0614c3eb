// What the tests of the emulated backend stand on.
#pragma once

#include <catch2/catch.hpp>

#include "kernels/cuda/device.h"

namespace seedlm::cuda {

// A machine, and no faults, for the time of a test.
struct Emulated {
  explicit Emulated(const emulation::Machine& machine = {}) {
    emulation::SetMachine(machine);
    emulation::SetFault("", cudaSuccess);
  }
  ~Emulated() {
    emulation::SetMachine({});
    emulation::SetFault("", cudaSuccess);
  }
};

struct TestStream {
  TestStream() {
    REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  }
  ~TestStream() { cudaStreamDestroy(stream); }
  cudaStream_t stream = nullptr;
};

}  // namespace seedlm::cuda
