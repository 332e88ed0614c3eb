// The backend "cuda": every device of this process behind one door.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/cuda/device_pool.h"

namespace seedlm::cuda {

// Errors: FAILED_PRECONDITION, saying why CUDA cannot be used here (DevicePool::Make).
//
// EncodeAll waits while all lanes are in use. A device that fails is taken out, and the shards that
// it did not finish are encoded on the others; when none is left, UNAVAILABLE with each one's
// reason.
absl::StatusOr<std::shared_ptr<const backend::Backend>> MakeCudaBackend(
    const PoolOptions& options = {});

}  // namespace seedlm::cuda
