// The error of a layer's output, by cuBLAS on a device.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/backend/layer_output.h"

namespace seedlm::cuda {

// Keeps the activations on `device`; rows come in pieces, so that little more is held there.
// FAILED_PRECONDITION: why there is no cuBLAS. Other errors: those of the device (ToStatus).
absl::StatusOr<std::unique_ptr<backend::OutputMeter>> MakeCudaOutputMeter(
    int device, const backend::Activations& activations);

}  // namespace seedlm::cuda
