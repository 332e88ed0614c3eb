// What compression does to a layer: the error of its output Y = X W^T, beside that of its weights.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"

namespace seedlm::backend {

// Inputs of one layer, finite: float32 [samples][columns], row-major, not owned.
struct Activations {
  int64_t samples = 0;
  int64_t columns = 0;
  const float* data = nullptr;
};

// Sums over samples and rows of the layer, so that parts of a layer add up.
struct OutputSums {
  double squared_output = 0;      // of X W^T
  double squared_difference = 0;  // of X (W - W')^T
};

// Multiplies rows of one layer with its activations. Thread-safe.
class OutputMeter {
 public:
  virtual ~OutputMeter() = default;
  // `weights`: W, `differences`: W - W', of `rows` rows; float32 [rows][columns], row-major.
  // Products are float32, sums of squares float64. Errors: those of the device; a CPU has none.
  virtual absl::StatusOr<OutputSums> Measure(int64_t rows, const float* weights,
                                             const float* differences) = 0;
};

// On the calling thread. Keeps a copy of the activations. The sums are the same on every machine:
// 256 columns are added in float32, in their order, those sums in float64.
std::unique_ptr<OutputMeter> MakeCpuOutputMeter(const Activations& activations);

}  // namespace seedlm::backend
