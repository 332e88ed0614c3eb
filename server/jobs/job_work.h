// What a job has finished, as its store remembers it: enough for another attempt to go on, and to
// trust nothing that it cannot check.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/codec/levels.h"
#include "server/jobs/job.h"

namespace seedlm::server {

// What recorded work belongs to. Work of another source, or cut in other pieces, is not mixed in.
struct WorkIdentity {
  // A line for each file of the source, see SourceIdentityOf.
  std::string source;
  // SHA-256 over what decides about every byte and piece of the output: options, layout, sizes.
  std::string layout;

  bool operator==(const WorkIdentity&) const = default;
};

// A piece of a tensor whose bytes are on disk in the staged output. `tensor`: index into
// CompressionPlan::tensors. `piece`: of a compressed tensor, a shard; of another, a part of a copy.
struct PieceRecord {
  int64_t tensor = 0;
  int64_t piece = 0;
  uint32_t crc32c = 0;  // of the piece's bytes in the output: words, then levels
  // Sums over the weights of a shard, as in ShardSums.
  double squared_error = 0;
  double squared_weights = 0;
  double max_error = 0;
  double seconds = 0;
  std::string backend{};  // that encoded it; empty: of a copy, or of a version that did not tell
};

struct LevelsRecord {
  int64_t tensor = 0;
  codec::LevelTable levels;
};

struct FinishedTensor {
  int64_t tensor = 0;
  TensorResult result;
};

// Things that become durable together.
struct WorkBatch {
  std::vector<LevelsRecord> levels;
  std::vector<PieceRecord> pieces;
  std::vector<FinishedTensor> finished;

  bool empty() const { return levels.empty() && pieces.empty() && finished.empty(); }
};

// An output that is about to get its final name; see Publisher::WasPublished.
struct Publication {
  std::string intent;
  std::vector<OutputFile> files;
};

// All that is recorded of a job.
struct JobWork {
  std::optional<WorkIdentity> identity;                       // none: nothing was begun
  std::map<int64_t, codec::LevelTable> levels;                // by tensor
  std::map<std::pair<int64_t, int64_t>, PieceRecord> pieces;  // by tensor and piece
  std::map<int64_t, int64_t> finished;                        // tensor -> sequence of its event
  std::optional<Publication> publication;
};

}  // namespace seedlm::server
