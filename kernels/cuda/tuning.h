// What may be tuned, as data. No value here changes a result.
#pragma once

#include <cstdint>

namespace seedlm::cuda {

// The scan of all seeds (seed_search_kernel.h).
struct ScanTuning {
  int threads = 128;          // a block of threads
  int blocks_per_thread = 4;  // weight blocks in the registers of a thread
  int segment = 256;          // seeds that share one stored maximum, and one visit of shared memory
  int ill_segment = 64;       // the same for ill-conditioned seeds, whose records are longer
  int waves = 4;              // thread blocks a processor that a launch aims at
  int max_parts = 32;         // into which the seeds are split where blocks alone are too few
};
inline constexpr ScanTuning kScan;

// The search through cells (cell_search_kernel.h).
struct CellTuning {
  int threads = 128;    // of a thread block that visits a cell: kFinish.tops warps
  int blocks = 64;      // of a cell that are in shared memory together
  int top_seeds = 512;  // of a list, among which the first candidate is looked for
  int survivors = 512;  // of a visit that are collected in shared memory
};
inline constexpr CellTuning kCellTuning;

// The search by tensor cores (tensor_search_kernel.h).
struct TensorTuning {
  int warps = 4;             // of a thread block
  int sample_segments = 32;  // of the scan, whose best seed gives the first threshold: an eighth
  int parts = 16;            // into which the seeds are split where blocks alone are too few
  int survivors = 1024;      // of a thread block that are collected in shared memory
  // Tiles of 8 weight blocks that a warp keeps in registers.
  static constexpr int Tiles(int block) { return block == 8 ? 8 : block == 12 ? 4 : 2; }
  // Tiles of 16 seeds that are in shared memory together: with the survivors at most 48 KB.
  static constexpr int SeedTiles(int block) { return block == 16 ? 8 : 16; }
};
inline constexpr TensorTuning kTensorTuning;

// What follows the scan.
struct FinishTuning {
  int threads = 128;
  int tops = 4;              // seeds with large scores that are evaluated first: a power of two
  int hard_threads = 128;    // of a thread block that looks at all seeds for some weight blocks
  int hard_together = 4;     // of them at a time, so that a seed is fetched once for all
  int hard_seeds = 512;      // that are scored before those that matter are evaluated
  int survivors = 256;       // of a block that are collected; with more it is a hard block
  int hard_segments = 96;    // with more segments that may matter it is one, too
  int queue_per_block = 48;  // entries, on average
  int queue_least = 4096;
};
inline constexpr FinishTuning kFinish;

// The pipeline (device_lane.h).
struct PipelineTuning {
  int64_t batch_blocks = int64_t{1} << 16;  // of one upload, search and download
  int lanes_per_device = 4;  // calls that a device serves at a time, two streams each
  int stack_bytes = 1536;    // of a thread, at most (resources.json): the driver takes them for all
                             // threads that a device can hold
};
inline constexpr PipelineTuning kPipeline;

}  // namespace seedlm::cuda
