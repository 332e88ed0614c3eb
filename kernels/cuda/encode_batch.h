// A batch on the device, from the bytes of weights to planes: widening, the check for NaN, the
// search, packing, losses. One upload, one download.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/backend/shard.h"
#include "kernels/codec/bitpack.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/search_tables.h"
#include "kernels/cuda/seed_search.h"

namespace seedlm::cuda {

// Whole rows of a shard, or blocks of a single one.
struct BatchRows {
  backend::WeightType type;
  int64_t rows;
  int64_t columns;         // weights in each, consecutive in memory
  int64_t blocks_per_row;  // ceil(columns / C)

  SEEDLM_HD int64_t count() const { return rows * blocks_per_row; }
  int64_t bytes() const { return rows * columns * backend::ByteWidth(type); }
};

// What encoding lost, over some weights without the padding.
struct Loss {
  double squared_error;
  double squared_weights;
  double max_error;
};

// What comes back of a batch, and where: byte offsets into the result.
struct ResultLayout {
  size_t first_bad = 0;  // unsigned long long: row * columns + column of the first weight that is
                         // not finite; kAllFinite: none, and the rest is valid
  size_t losses;         // Loss [rows]
  size_t words;          // uint32_t [rows][blocks_per_row]
  size_t levels;         // uint8_t [rows][LevelRowBytes]
  size_t bytes;          // in all

  ResultLayout(const codec::Profile& profile, const BatchRows& rows)
      : losses(sizeof(unsigned long long)),
        words(losses + static_cast<size_t>(rows.rows) * sizeof(Loss)),
        levels(words + static_cast<size_t>(rows.count()) * sizeof(uint32_t)),
        bytes(levels +
              static_cast<size_t>(rows.rows * codec::LevelRowBytes(profile, rows.blocks_per_row))) {
  }
};
inline constexpr unsigned long long kAllFinite = ~0ull;

// Upper bounds for batches of at most `blocks` blocks, however they are cut into rows.
size_t MaxSourceBytes(const codec::Profile& profile, int64_t blocks);
size_t MaxResultBytes(int64_t blocks);
size_t BatchDeviceBytes(const codec::Profile& profile, int64_t blocks);

// Queues upload, kernels and download on `stream`; does not synchronise. `source` (rows.bytes())
// and `result` (ResultLayout) are pinned, `memory` has BatchDeviceBytes(profile, rows.count()) or
// more; all three are in use until the stream has come so far.
cudaError_t QueueBatch(SearchMethod method, const backend::EncodeSpec& spec, const BatchRows& rows,
                       const TableView& tables, int processors, const std::byte* source,
                       std::byte* memory, std::byte* result, cudaStream_t stream);

}  // namespace seedlm::cuda
