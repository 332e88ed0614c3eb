// What one search did: the time of each kernel, and the counters that it leaves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/device.h"

namespace seedlm::bench {

struct SearchCounts {
  std::vector<std::pair<std::string, double>> seconds;  // of each kernel, in the order of launches
  int64_t queued = 0;     // entries that searches asked for; more than the capacity: some are lost
  int64_t capacity = 0;   // of the queue
  int64_t survivors = 0;  // entries that were evaluated
  int64_t hard_blocks = 0;
  int64_t prefixes = 0;  // cells: seeds of lists that were scored, summed over the blocks
  int64_t visits = 0;    // cells: cells that the blocks are in
};

// Watches the searches that this thread queues, while it lives. Not for the naive search, which
// leaves no counters.
class SearchTrace {
 public:
  SearchTrace();
  ~SearchTrace();
  SearchTrace(const SearchTrace&) = delete;
  SearchTrace& operator=(const SearchTrace&) = delete;

  // Waits for the stream and reads what the last search of `count` blocks has left in its scratch,
  // which must not have been used since.
  cudaError_t Read(int64_t count, cudaStream_t stream, SearchCounts& counts);

 private:
  class Watcher;
  std::unique_ptr<Watcher> watcher_;
};

}  // namespace seedlm::bench
