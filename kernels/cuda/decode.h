// Codes to weights, on the device: the door of decode_kernel.h.
#pragma once

#include <cstdint>

#include "kernels/backend/shard.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/device.h"

namespace seedlm::cuda {

// The planes of a tensor; pointers are the device's.
struct PlanesView {
  const uint32_t* words;  // [rows][blocks_per_row]
  const uint8_t* levels;  // [rows][LevelRowBytes]; null where P = 3
  const float* scale;     // [16]
  int64_t rows;
  int64_t columns;
  int64_t blocks_per_row;
};

// Sums over the rows of a tensor, comparable across devices: bit for bit the same for the same
// input.
struct Comparison {
  double squared_difference;  // sum of (original - decoded)^2
  double squared_original;
  double max_difference;
};

// Queues the decoding into `weights`, [rows][columns] of `type`, 16-byte aligned; does not
// synchronise. The bits are those of codec::DecodeBlock and, for the narrow types, one rounding.
// REQUIRES: levels are finite.
cudaError_t QueueDecode(const codec::Profile& profile, const PlanesView& planes,
                        backend::WeightType type, void* weights, cudaStream_t stream);

// Queues the comparison of the decoded float32 with `original`, [rows][columns] of `type`: one
// Comparison a row. A row's relative error is sqrt(squared_difference / squared_original).
cudaError_t QueueCompare(const codec::Profile& profile, const PlanesView& planes,
                         backend::WeightType type, const void* original, Comparison* rows,
                         cudaStream_t stream);

}  // namespace seedlm::cuda
