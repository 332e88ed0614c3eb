// What the CPU backends share: from rows of weights to planes, around a block encoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include "absl/status/statusor.h"
#include "kernels/backend/shard.h"
#include "kernels/codec/objective.h"

namespace seedlm::cpu {

// Blocks to be encoded.
struct Batch {
  const float* weights;              // [blocks, C]
  std::span<const uint32_t> places;  // the blocks that are to be encoded, ascending; none all zero
  // [blocks]; at the places codec::InitialCandidate, which is to be replaced by the best code.
  codec::Candidate* best;
};

// Encodes a batch. CANCELLED soon after `stop` is requested.
using BatchEncoder = std::function<absl::Status(const Batch& batch, std::stop_token stop)>;

// Widens, checks and packs; all-zero blocks get their code without a search. About `batch_blocks`
// blocks (whole rows, at least one) are held at a time, 60 bytes and more each. Errors as
// backend::Backend::Encode.
absl::StatusOr<backend::EncodedShard> EncodeShard(const backend::EncodeSpec& spec,
                                                  const backend::WeightRows& weights,
                                                  int64_t batch_blocks, std::stop_token stop,
                                                  const BatchEncoder& encode_batch);

}  // namespace seedlm::cpu
