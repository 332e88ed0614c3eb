// Which blocks of a batch lie in which cell: those that share one share its list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/codec/profile.h"
#include "kernels/cpu/encode_shard.h"
#include "kernels/cpu/exhaustive_search.h"
#include "kernels/cpu/kept_memory.h"
#include "kernels/cpu/search_kernels.h"
#include "kernels/search/cell_index.h"

namespace seedlm::cpu {

// Not thread-safe: buffers are reused. What it is made from must outlive it.
class CellFiling {
 public:
  // Blocks a visit has at most: what is kept of each while a cell is searched must not grow with a
  // tensor whose blocks all point the same way.
  static constexpr size_t kVisit = 1024;

  // Blocks place(first) .. place(last - 1) lie in one cell.
  struct Visit {
    uint64_t key;  // of the cell
    uint32_t cell;
    uint32_t first, last;

    size_t count() const { return last - first; }
  };

  CellFiling(const SearchKernels& kernels, const codec::Profile& profile, search::CellIndex& index)
      : kernels_(kernels), profile_(profile), index_(index) {}

  // Forgets what was added; `count` blocks and no more come now.
  void Clear(size_t count);
  // Files blocks of `batch`. Those that no list can help, because their norms are outside `scanned`
  // or their cells are too many, are appended to `rest`.
  void Add(const Batch& batch, std::span<const uint32_t> places, const NormRange& scanned,
           std::vector<uint32_t>& rest);
  // Makes the visits of all that was added.
  void Sort();

  // Of the last call of Sort; neighbouring cells mostly follow each other, and the blocks of a
  // cell their places.
  std::span<const Visit> visits() const { return visits_; }
  uint32_t place(uint32_t i) const { return static_cast<uint32_t>(filed_[i]); }

 private:
  const SearchKernels& kernels_;
  const codec::Profile profile_;
  search::CellIndex& index_;
  KeptVector<uint64_t> filed_, sorting_;  // cell << 32 | place
  std::vector<Visit> visits_;
};

}  // namespace seedlm::cpu
