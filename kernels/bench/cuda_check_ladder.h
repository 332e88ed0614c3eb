// The stages of cuda_check that time one thing each: a rung, the product by cuBLAS, decoding.
// Records go to "timings". Kernel times by events, the least and the median of several, inputs in
// rotated buffers.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/shard.h"
#include "kernels/bench/cuda_check_ceilings.h"
#include "kernels/bench/cuda_check_search.h"
#include "kernels/bench/cuda_check_stage.h"

namespace seedlm::bench {

struct Seconds {
  double least, median;
};
Seconds Summary(std::vector<double> seconds);

// `repeats` searches of `blocks` blocks, or fewer where time runs out, after those that warm up:
// one, and through cells one of each problem, which makes its lists.
absl::StatusOr<Seconds> TimeKernels(Context& context, DeviceSearch& device,
                                    cuda::SearchMethod method, const std::vector<Problem>& problems,
                                    int repeats);

// A rung, and what binds it: its share of the ceilings, the time of each kernel, the lengths of
// queues. Optimal and fitted unless said.
absl::Status TimeRung(Context& context, const codec::Profile& profile, cuda::SearchMethod method,
                      int64_t blocks, const Ceilings& ceilings,
                      codec::Fit fit = codec::Fit::kOptimal,
                      codec::ScaleRule rule = codec::ScaleRule::kFitted);

// Rung G: the scores alone, all of them to memory.
absl::Status TimeProduct(Context& context, const codec::Profile& profile, const Ceilings& ceilings);

// Random codes to weights of a type.
absl::Status TimeDecode(Context& context, const codec::Profile& profile, backend::WeightType type,
                        const Ceilings& ceilings);

}  // namespace seedlm::bench
