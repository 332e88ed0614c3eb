// What the CPU backends share: from rows of weights to planes, around a block encoder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include "absl/status/status.h"
#include "kernels/backend/backend.h"
#include "kernels/codec/objective.h"

namespace seedlm::cpu {

// Blocks that are held together.
struct Batch {
  const float* weights;    // [blocks, C]
  codec::Candidate* best;  // [blocks]
};

// The blocks of one shard in a batch.
struct Section {
  const backend::EncodeSpec* spec;
  // Those that are to be encoded, at least one, ascending, above the places of sections before;
  // none all zero. At each, Batch::best is codec::InitialCandidate, which is to be replaced by the
  // best code.
  std::span<const uint32_t> places;
};

// Encodes a batch. CANCELLED soon after `stop` is requested.
using BatchEncoder = std::function<absl::Status(
    const Batch& batch, std::span<const Section> sections, std::stop_token stop)>;

// backend::Backend::EncodeAll: widens, checks and packs; all-zero blocks get their code without a
// search. About `batch_blocks` blocks (whole rows, at least one) are held at a time, 60 bytes and
// more each: rows of several shards, where these are small.
backend::Backend::Results EncodeShards(std::span<const backend::ShardTask> shards,
                                       int64_t batch_blocks, std::stop_token stop,
                                       const BatchEncoder& encode_batch);

}  // namespace seedlm::cpu
