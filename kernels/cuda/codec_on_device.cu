// Decodes and encodes blocks on the device with the codec's own headers: no formula is repeated
// here. One thread a block; for checking, not for speed.
#include <cstdint>

#include "kernels/codec/basis.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/levels.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/objective.h"
#include "kernels/codec/profile.h"
#include "kernels/codec/seed_search.h"

namespace seedlm::cuda {
namespace {

// The planes of one tensor, in device memory. `levels` is read only where the profile has a plane.
struct Planes {
  const uint32_t* words;  // [rows, blocks_per_row]
  const uint8_t* levels;  // [rows, LevelRowBytes]
  const float* scale;     // [16]
  int64_t rows;
  int64_t blocks_per_row;
};

__device__ codec::BlockCode CodeOf(const codec::Profile& profile, const Planes& planes,
                                   int64_t block) {
  const int64_t row = block / planes.blocks_per_row;
  uint32_t level = 0;
  if (!profile.level_in_word()) {
    const int64_t row_bytes = codec::LevelRowBytes(profile, planes.blocks_per_row);
    level = codec::GetLevelNibble(planes.levels + row * row_bytes, block % planes.blocks_per_row);
  }
  return codec::UnpackWord(profile, planes.words[block], level);
}

__device__ int64_t BlockOfThread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

}  // namespace

// weights: [rows * blocks_per_row, profile.block] as float32, float16 bits and bfloat16 bits.
__global__ void DecodePlanes(codec::Profile profile, Planes planes, float* f32, uint16_t* f16,
                             uint16_t* bf16) {
  const int64_t block = BlockOfThread();
  if (block >= planes.rows * planes.blocks_per_row) return;
  float* weights = f32 + block * profile.block;
  codec::DecodeBlock(profile, CodeOf(profile, planes, block), planes.scale, weights);
  for (int c = 0; c < profile.block; ++c) {
    f16[block * profile.block + c] = codec::ToFloat16(weights[c]);
    bf16[block * profile.block + c] = codec::ToBfloat16(weights[c]);
  }
}

// The exact encoder, every seed asked by the codec's one routine. weights: [blocks, profile.block],
// codes: [blocks]. REQUIRES: not kNearest with a fitted table.
__global__ void EncodeBlocks(codec::Profile profile, codec::Fit fit, codec::LevelTable levels,
                             const float* weights, int64_t blocks, codec::Candidate* codes) {
  const int64_t block = BlockOfThread();
  if (block >= blocks) return;
  const codec::BlockTask task = codec::MakeTask(profile, weights + block * profile.block);
  codec::Candidate best = codec::InitialCandidate(fit, task);
  for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
    codec::EvaluateSeed(profile, fit, task, levels, seed, best);
  }
  codes[block] = best;
}

}  // namespace seedlm::cuda
