// The timing half of cuda_check: the rungs of the search, decoding, and the way of a shard through
// two streams.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "kernels/bench/cuda_check_ceilings.h"
#include "kernels/cuda/device.h"

namespace seedlm::bench {

// One JSON object a figure, with the share of the ceiling that binds it. Kernel times by events,
// the least and the median of several, inputs in rotated buffers. `small` repeats little.
cudaError_t TimeLadder(int64_t blocks, int processors, const Ceilings& ceilings, bool small,
                       nlohmann::ordered_json& ladder);

}  // namespace seedlm::bench
