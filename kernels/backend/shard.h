// Shapes of the work that a backend does: a shard is a row range of one weight matrix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/codec/levels.h"
#include "kernels/codec/profile.h"

namespace seedlm::backend {

// Element types that can be compressed.
enum class WeightType : uint8_t { kF32, kF16, kBF16 };

constexpr int64_t ByteWidth(WeightType type) { return type == WeightType::kF32 ? 4 : 2; }

// How a tensor is to be encoded. A pure function of the whole tensor and the job's options.
struct EncodeSpec {
  codec::Profile profile = codec::k4bit;
  codec::Fit fit = codec::Fit::kOptimal;
  codec::LevelTable levels;
  // How many blocks of this profile the job has in all, about; 0: not known. A hint about how much
  // preparation pays: it changes the time, never the result.
  int64_t blocks_to_come = 0;
};

// Row-major weights [rows, columns], little-endian, not owned: valid during the call only.
struct WeightRows {
  WeightType type = WeightType::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  const std::byte* data = nullptr;  // rows * columns * ByteWidth(type) bytes, any alignment
  int64_t first_row = 0;            // of the tensor, where a shard is a part: for messages only
};

// A shard to be encoded; both are valid during the call only.
struct ShardTask {
  const EncodeSpec* spec = nullptr;
  WeightRows weights;
};

// The planes of a shard, ready to be written at the shard's rows, and what its encoding lost: sums
// over the shard's weights, without the padding of blocks.
struct EncodedShard {
  std::vector<uint32_t> words;  // [rows, blocks_per_row], the rows of N_packed
  std::vector<uint8_t> levels;  // [rows, LevelRowBytes], the rows of N_level; empty where P = 3
  double squared_error = 0;     // sum of (w - decoded float32)^2
  double squared_weights = 0;   // sum of w^2
  double max_error = 0;         // max |w - decoded float32|
  std::string search;           // how it was searched, for people; may be empty
  std::string warning;  // what people should know once, such as a damaged cache; mostly empty
  std::string device = "host";  // which of the backend's encoded it; a GPU has its number, "0"
  std::string backend;          // that encoded it, where it is one of several; else empty
};

}  // namespace seedlm::backend
