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

// What follows the scan.
struct FinishTuning {
  int threads = 128;
  int hard_threads = 256;   // of a thread block that looks at all seeds for one weight block
  int survivors = 256;      // of a block that are collected; with more it is a hard block
  int hard_segments = 96;   // with more segments that may matter it is one, too
  int queue_per_block = 8;  // entries, on average
  int queue_least = 4096;
};
inline constexpr FinishTuning kFinish;

// The pipeline (device_lane.h).
struct PipelineTuning {
  int64_t batch_blocks = int64_t{1} << 16;  // of one upload, search and download
  int lanes_per_device = 4;  // calls that a device serves at a time, two streams each
};
inline constexpr PipelineTuning kPipeline;

}  // namespace seedlm::cuda
