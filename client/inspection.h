// What a checkpoint holds, compressed or not.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/codec/profile.h"

namespace seedlm::client {

struct InspectedTensor {
  std::string name;
  std::string file;            // relative; empty for a single file
  std::vector<int64_t> shape;  // of the source
  std::string dtype;           // of the source
  bool packed = false;
  double bits_per_weight = 0;

  // Of compressed tensors:
  std::string profile;
  std::array<int64_t, codec::kLevels> level_use{};  // blocks that use each level
  std::array<float, codec::kLevels> levels{};
  int64_t zero_seeds = 0;  // not 0: damaged
};

struct Inspection {
  std::string path;
  std::vector<InspectedTensor> tensors;  // by file, compressed ones first
  uint64_t file_bytes = 0;               // all safetensors files
  int64_t packed_weights = 0;
  double bits_per_weight = 0;  // of codes, over the compressed tensors
  std::string fit, scale;      // empty if nothing is compressed
};

// Reads every code. Errors: those of OpenPackedCheckpoint and of reading; CANCELLED after `stop`.
absl::StatusOr<Inspection> Inspect(const std::string& path, const std::stop_token& stop);

// 16 characters, one a level: '.' unused, '0' .. '9' its share of the most used one.
std::string LevelBars(std::span<const int64_t, codec::kLevels> use);

}  // namespace seedlm::client
