// All cell indexes of a process, and the choice among them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "kernels/codec/profile.h"
#include "kernels/search/cell_index.h"

namespace seedlm::search {

inline constexpr int64_t kDefaultIndexMemory = int64_t{1} << 30;

// The resolutions that a profile can be searched with, coarse to fine; empty: none is of use, all
// seeds are scanned (2bit: the angles are so wide that nearly all seeds matter).
std::span<const Resolution> Resolutions(const codec::Profile& profile);

// How much work is ahead.
struct Workload {
  int64_t batch = 0;    // blocks that are searched together
  int64_t to_come = 0;  // blocks in all, these included, as far as is known; less counts as `batch`
};

// What is there already, of one resolution.
struct IndexState {
  int64_t lists = 0;
  int64_t bytes_left = 0;  // for more
};

// Blocks' worth of exhaustive scans that `work` costs with a resolution. The model counts scored
// (block, seed) pairs. What a list costs: Resolution::list_scans; a seed of a list is fetched once
// for all blocks of its cell that are in the batch.
double ModelCost(const Resolution& resolution, const Workload& work, const IndexState& state);

// The cell indexes of all profiles under one memory budget. Thread-safe.
class IndexStore {
 public:
  // memory: bytes that lists may take; 0: no index, all searches are exhaustive.
  // cache: directory in which lists are kept from one process to the next (index_cache.h); "":
  // none.
  explicit IndexStore(int64_t memory = kDefaultIndexMemory, std::string cache = "")
      : memory_(memory), budget_(memory), cache_(std::move(cache)) {}

  // The index that `work` is cheapest with, or null where that is the exhaustive scan. `why`, if
  // not null, is told the choice for people. The index lives as long as the store.
  CellIndex* Choose(const codec::Profile& profile, const Workload& work,
                    std::string* why = nullptr);

  // The index of Resolutions(profile)[resolution], made, with what the cache has, at the first
  // call.
  CellIndex& At(const codec::Profile& profile, size_t resolution);

  // Writes to the cache the indexes that have grown by an eighth and more since they were read or
  // written. After an error (that of SaveLists) the cache is left alone.
  absl::Status Save(const std::stop_token& stop = {});
  // What was wrong with the cache when it was read, or that memory is too short for an index, once;
  // "": nothing.
  std::string TakeWarning();

  const std::string& cache() const { return cache_; }
  int64_t memory() const { return memory_; }
  int64_t memory_left() const { return budget_.left(); }
  int64_t lists();  // of all indexes

 private:
  static constexpr size_t kMaxResolutions = 4;

  const int64_t memory_;
  MemoryBudget budget_;
  const std::string cache_;

  struct Held {
    std::unique_ptr<CellIndex> index;
    int64_t cached = 0;  // lists that the cache has
  };
  std::string CachePath(const CellIndex& index) const;
  // Says once for a profile that there is too little memory for an index that would save half of
  // the work and more.
  void WarnIfShort(const codec::Profile& profile, const Workload& work);

  std::mutex mutex_;  // guards all below
  std::string warning_;
  bool cache_failed_ = false;
  std::array<bool, codec::kProfiles.size()> told_short_{};
  std::array<std::array<Held, kMaxResolutions>, codec::kProfiles.size()> indexes_;
};

}  // namespace seedlm::search
