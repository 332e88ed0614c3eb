// What is done next, and in what pieces: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/status.h"
#include "kernels/format/compression_plan.h"

namespace seedlm::server {

struct JobView {
  int priority = 0;       // among the owner's own jobs
  int64_t order = 0;      // of creation, ascending
  bool has_work = false;  // a piece can be handed out now
  int64_t served = 0;     // of the workers' time, to the job's owner: see OwnerShares
};

// Index of the job whose work is handed out next: of those that have some, one of the owner who was
// served least, of these the highest priority, then the oldest. So nobody gets ahead of another
// owner by calling everything urgent, and a job that waits for its own last pieces does not keep
// workers from the next job. None: there is nothing to do.
std::optional<size_t> PickJob(std::span<const JobView> jobs);

// A range cut into equal pieces but for the last. Piece i is [i * size, min(total, (i + 1) *
// size)).
struct Pieces {
  int64_t total = 0;
  int64_t size = 1;

  int64_t count() const { return total / size + (total % size != 0); }
  int64_t begin(int64_t piece) const { return piece * size; }
  int64_t length(int64_t piece) const { return piece + 1 < count() ? size : total - begin(piece); }
};

// A shard: 4 MiB of the source, its rows padded to whole blocks. What the search takes beside it:
// cpu::EncodeBytes.
inline constexpr int64_t kDefaultShardWeights = int64_t{1} << 20;

// A worker is given as many shards at a time, of one tensor or several, as fill this many full
// ones, or fewer where memory is short (memory_plan.h): they are searched together, which is
// faster.
inline constexpr int64_t kShardsTogether = 8;

// Source bytes of the shards that the next of `workers` is given, at least one shard, of a job that
// has shards of `left` bytes to hand out: a few towards the end, so that no worker waits long for
// another. `most`: of full shards together.
int64_t StreamPieceBytes(int64_t left, int64_t workers, int64_t most);

// A shard is whole rows, so one row may be all that a worker is given: 16 MiB as float32, as much
// as four shards.
inline constexpr int64_t kMaxRowWeights = int64_t{4} << 20;

// What else a checkpoint may have, for GetCapabilities; the format room refuses more.
struct CheckpointLimits {
  int32_t tensors = static_cast<int32_t>(format::kMaxTensors);
  int32_t name_bytes = static_cast<int32_t>(format::kMaxTensorNameBytes);
  int64_t header_bytes = static_cast<int64_t>(format::kMaxHeaderBytes);  // of all files together
};

// Rows of a [rows, columns] tensor: as many as have at most `weights`, or one that has more; fewer
// at the end. REQUIRES: all positive.
Pieces RowPieces(int64_t rows, int64_t columns, int64_t weights);

// INVALID_ARGUMENT, reason ROW_TOO_LONG, naming the first tensor to be compressed whose rows are
// over kMaxRowWeights.
absl::Status CheckRowLengths(const format::CompressionPlan& plan);

// RESOURCE_EXHAUSTED, reason QUEUE_FULL, with a retry hint, when no further job may be queued.
absl::Status CheckQueue(int64_t active_jobs, int64_t max_active_jobs);
// The same of one owner's jobs, reason OWNER_QUEUE_FULL.
absl::Status CheckOwnerQueue(int64_t active_jobs, int64_t max_owner_jobs);

}  // namespace seedlm::server
