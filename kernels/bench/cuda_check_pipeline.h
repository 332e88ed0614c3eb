// The stages of cuda_check that time a tensor's whole way, beside what binds it: the search of
// batches of the same size that lie on the device, and the link. Records go to "timings".
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "kernels/bench/cuda_check_ceilings.h"
#include "kernels/bench/cuda_check_stage.h"

namespace seedlm::bench {

// bfloat16 rows in pinned memory to planes in pinned memory, two streams in turn; all batches are
// different. By the method that the pool takes.
absl::Status TimePinned(Context& context, const codec::Profile& profile, int64_t batch_blocks,
                        const Ceilings& ceilings);

// bfloat16 shards in pageable memory to planes, by a pool as the server has it, a thread a lane.
absl::Status TimePool(Context& context, const codec::Profile& profile, const Ceilings& ceilings);

}  // namespace seedlm::bench
