// What the CPU backends share: from rows of weights to planes, around a block encoder.
#pragma once

#include <functional>
#include <span>
#include <stop_token>

#include "absl/status/statusor.h"
#include "kernels/backend/shard.h"
#include "kernels/codec/objective.h"

namespace seedlm::cpu {

// Blocks that are encoded together: enough to share a pass over the seed tables, few enough to stop
// soon after a cancellation.
inline constexpr int kBatch = 64;

// Finds the codes of up to kBatch blocks, none of them all zero. `blocks`: [best.size(), C].
using BatchEncoder =
    std::function<void(std::span<const float* const> blocks, std::span<codec::Candidate> best)>;

// Widens, checks and packs; all-zero blocks get their code without a search. Errors as
// backend::Backend::Encode.
absl::StatusOr<backend::EncodedShard> EncodeShard(const backend::EncodeSpec& spec,
                                                  const backend::WeightRows& weights,
                                                  std::stop_token stop,
                                                  const BatchEncoder& encode_batch);

}  // namespace seedlm::cpu
