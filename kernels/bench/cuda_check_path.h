// The stages of cuda_check that go the way of real shards: widening, planes, levels, losses, lanes,
// several streams, decoding, comparing, the outputs of layers. Records go to "checks".
#pragma once

#include "absl/status/status.h"
#include "kernels/bench/cuda_check_stage.h"

namespace seedlm::bench {

// A tensor by QueueBatch on one stream, and by pools of several lanes, batch and shard sizes, in
// float32, float16 and bfloat16: the bytes of the host's SIMD backend, and its losses.
absl::Status CheckPlanes(Context& context, const codec::Profile& profile);

// Random codes to float32, float16 and bfloat16, and against an original: codec::DecodeBlock.
absl::Status CheckDecoding(Context& context, const codec::Profile& profile);

// The error of a layer's output by cuBLAS: the CPU's. Skipped, with the reason, without cuBLAS.
absl::Status CheckOutputs(Context& context);

}  // namespace seedlm::bench
