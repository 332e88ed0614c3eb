// The error of a layer's output through the backend "cuda", emulated, against the CPU's.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "kernels/backend/fallback_backend.h"
#include "kernels/cpu/backends.h"
#include "kernels/cuda/cuda_backend.h"
#include "tests/kernels/emulated_machine.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::cuda {
namespace {

using backend::Backend;
using backend::OutputSums;

constexpr int64_t kSamples = 5, kRows = 7, kColumns = 40;

absl::StatusOr<OutputSums> MeasureWith(const Backend& backend) {
  const auto kind = testing::Kind::kGaussian;
  const auto x = testing::MakeWeights(kind, kSamples * kColumns, 1);
  const auto w = testing::MakeWeights(kind, kRows * kColumns, 2);
  const auto d = testing::MakeWeights(kind, kRows * kColumns, 3);
  auto meter = backend.MeterOutputs({kSamples, kColumns, x.data()});
  if (!meter.ok()) return meter.status();
  return (*meter)->Measure(kRows, w.data(), d.data());
}

void CheckSame(const absl::StatusOr<OutputSums>& got) {
  const auto expected = MeasureWith(*cpu::MakeReferenceBackend());
  REQUIRE(got.ok());
  CHECK(got->squared_output == Approx(expected->squared_output).epsilon(1e-5));
  CHECK(got->squared_difference == Approx(expected->squared_difference).epsilon(1e-5));
}

TEST_CASE("the device's sums are the CPU's", "[cuda][outputs]") {
  const Emulated machine;
  const auto cuda = *MakeCudaBackend({SearchMethod::kSliding, 24, 1});
  const size_t before = emulation::AllocatedBytes();
  CheckSame(MeasureWith(*cuda));
  CHECK(emulation::AllocatedBytes() == before);
}

TEST_CASE("no cuBLAS, no memory, a device that fails: told, and the CPU goes on",
          "[cuda][outputs]") {
  emulation::Machine without;
  without.cublas = false;
  const Emulated machine(without);
  const auto cuda = *MakeCudaBackend({SearchMethod::kSliding, 24, 1});
  const auto either = backend::MakeFallbackBackend(cuda, *cpu::MakeSimdBackend());
  CHECK(MeasureWith(*cuda).status() ==
        absl::FailedPreconditionError(
            "no cuBLAS: no model that refuses is emulated; no model is emulated"));
  CheckSame(MeasureWith(*either));

  emulation::SetMachine({});
  emulation::SetFault("cudaMalloc", cudaErrorMemoryAllocation, 2);
  CHECK(MeasureWith(*cuda).status().code() == absl::StatusCode::kResourceExhausted);
  CheckSame(MeasureWith(*either));

  const std::string call = GENERATE("launch", "kernel", "cudaMemcpyAsync", "cudaSetDevice");
  CAPTURE(call);
  emulation::SetFault(call, cudaErrorLaunchFailure, call == "cudaMemcpyAsync" ? 1 : 0);
  CHECK(MeasureWith(*cuda).status().code() == absl::StatusCode::kUnavailable);
  emulation::SetFault(call, cudaErrorLaunchFailure, call == "cudaMemcpyAsync" ? 1 : 0);
  CheckSame(MeasureWith(*either));
}

}  // namespace
}  // namespace seedlm::cuda
