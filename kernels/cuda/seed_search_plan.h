// Launch shapes of a search: a pure function of the problem and the device's size.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "kernels/cuda/search_tables.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::cuda {

// Any positive numbers give the same codes.
struct SearchPlan {
  int scan_columns = 1;  // thread blocks along the blocks: all of them
  int scan_parts = 1;    // thread blocks that share the seeds
  int wide = 1;          // thread blocks of kernels that loop over a queue
  int hard = 1;          // thread blocks that take one hard block at a time
  int64_t queue_limit = std::numeric_limits<uint32_t>::max();  // entries; blocks beyond are hard

  std::string ToString() const {
    return "scan " + std::to_string(scan_columns) + " x " + std::to_string(scan_parts) +
           ", queue " + std::to_string(wide) + ", hard " + std::to_string(hard);
  }
};

inline int CeilDivide(int64_t a, int64_t b) { return static_cast<int>((a + b - 1) / b); }

// `processors`: of the device.
inline SearchPlan MakeSearchPlan(const TableView& tables, int64_t count, int processors) {
  SearchPlan plan;
  plan.scan_columns = CeilDivide(count, kScan.threads * kScan.blocks_per_thread);
  const int64_t wanted = int64_t{kScan.waves} * processors;
  plan.scan_parts =
      static_cast<int>(std::clamp<int64_t>(wanted / std::max<int64_t>(1, plan.scan_columns), 1,
                                           std::min(kScan.max_parts, tables.segments())));
  plan.wide = 8 * processors;
  plan.hard = 4 * processors;
  return plan;
}

}  // namespace seedlm::cuda
