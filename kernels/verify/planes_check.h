// Checks compressed tensors on their own, without the source.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/verify/packed_checkpoint.h"

namespace seedlm::verify {

// Every code of every compressed tensor: what is wrong, naming tensor, row and block, at most five
// of a tensor; empty: all can be decoded. (That planes are there, have the right shapes and finite
// levels, OpenPackedCheckpoint has checked.) `threads`: 0: one for each core. CANCELLED after
// `stop`; errors of reading.
absl::StatusOr<std::vector<std::string>> CheckPlanes(const PackedCheckpoint& checkpoint,
                                                     int threads, const std::stop_token& stop);

}  // namespace seedlm::verify
