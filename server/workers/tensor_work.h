// The pieces of work on tensors. Each runs on the calling thread and holds at most one piece in
// memory. Thread-safe: they share only immutable inputs and the sink.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/codec/level_design.h"
#include "kernels/format/safetensors.h"
#include "server/storage/checkpoint_sink.h"
#include "server/workers/level_counter.h"

namespace seedlm::server {

// Rows [first_row, first_row + row_count) of a 2-D floating tensor. Not owned.
struct TensorRows {
  const format::SafetensorsFile* file = nullptr;
  const format::TensorInfo* tensor = nullptr;
  int64_t first_row = 0;
  int64_t row_count = 0;
};

// Where a tensor's planes or bytes go.
struct TensorOutput {
  CheckpointSink* sink = nullptr;
  size_t output = 0;  // index of the output file
};

// Sums over the blocks of a shard.
struct ShardSums {
  double squared_error = 0;
  double squared_weights = 0;
  double max_error = 0;
  double seconds = 0;        // on this thread; of shards encoded together, its part by weights
  uint32_t crc32c = 0;       // as SumRows
  std::string search = {};   // how it was searched, for the log
  std::string warning = {};  // as backend::EncodedShard, and so is the next
  std::string device = {};
  std::string backend = {};  // that encoded it
};

// Errors of reading name file and tensor, those of writing the output. Whatever reads the source
// may answer FAILED_PRECONDITION: it changed meanwhile.

// Adds the norms of the blocks of `rows`. INVALID_ARGUMENT, reason WEIGHT_NOT_FINITE: NaN or
// infinite; names row and column of the tensor, also in the details tensor, row, column and offset.
absl::Status MeasureRows(const codec::Profile& profile, const TensorRows& rows,
                         codec::NormHistogram& histogram);

struct ShardWork {
  const backend::EncodeSpec* spec = nullptr;
  TensorRows rows;
  TensorOutput out;
};
// Encodes shards of one or several tensors, all of one profile and fit, and writes their parts of
// N_packed and N_level. Each has a result of its own, a read error
// after the others were encoded. CANCELLED soon after `stop`.
std::vector<absl::StatusOr<ShardSums>> EncodeShards(const backend::Backend& backend,
                                                    std::span<const ShardWork> shards,
                                                    std::stop_token stop);

// CRC-32C of what EncodeShards wrote for `rows`, as it is in the output: words, then levels.
absl::StatusOr<uint32_t> SumRows(const codec::Profile& profile, const TensorRows& rows,
                                 const TensorOutput& out);

// Names of the planes of a compressed tensor: packed, level (where the profile has one), scale,
// shape.
std::vector<std::string> PlanesOf(const codec::Profile& profile, const format::TensorInfo& tensor);

// Writes N_scale and N_shape, which with all rows make the tensor whole.
absl::Status WriteScales(const backend::EncodeSpec& spec, const format::TensorInfo& tensor,
                         const TensorOutput& out);

// What the planes of a tensor hold, as they are in the output.
struct PlaneSummary {
  std::string sha256;  // over them, in the order of PlanesOf
  LevelBlocks level_blocks{};
};
// CANCELLED soon after `stop`.
absl::StatusOr<PlaneSummary> SumPlanes(const codec::Profile& profile,
                                       const format::TensorInfo& tensor, const TensorOutput& out,
                                       std::stop_token stop);

// Copies bytes [offset, offset + length) of a tensor that passes through. Returns their CRC-32C.
absl::StatusOr<uint32_t> CopyBytes(const format::SafetensorsFile& file,
                                   const format::TensorInfo& tensor, uint64_t offset,
                                   uint64_t length, const TensorOutput& out);

// CRC-32C of a range of a tensor, as it is in the output.
absl::StatusOr<uint32_t> SumBytes(std::string_view tensor, uint64_t offset, uint64_t length,
                                  const TensorOutput& out);

}  // namespace seedlm::server
