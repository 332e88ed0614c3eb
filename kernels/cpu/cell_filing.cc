#include "kernels/cpu/cell_filing.h"

#include <algorithm>

namespace seedlm::cpu {

using search::CellIndex;

void CellFiling::Clear(size_t count) {
  filed_.clear();
  filed_.reserve(count);
  visits_.clear();
}

void CellFiling::Add(const Batch& batch, std::span<const uint32_t> all, const NormRange& scanned,
                     std::vector<uint32_t>& rest) {
  constexpr size_t kTogether = 64;  // whose places in the table of cells are asked for ahead
  for (size_t first = 0; first < all.size(); first += kTogether) {
    const auto places = all.subspan(first, std::min(kTogether, all.size() - first));
    uint64_t keys[kTogether];
    double squared_norms[kTogether];
    kernels_.cell_keys(profile_, batch.weights, places.data(), static_cast<int>(places.size()),
                       index_.resolution().radius, keys, squared_norms);
    for (size_t i = 0; i < places.size(); ++i) {
      if (!scanned.Contains(squared_norms[i])) keys[i] = 0;
      index_.PrefetchFind(keys[i]);
    }
    for (size_t i = 0; i < places.size(); ++i) {
      const uint32_t cell = index_.Find(keys[i]);
      if (cell == CellIndex::kNoCell) {
        rest.push_back(places[i]);
      } else {
        filed_.push_back(uint64_t{cell} << 32 | places[i]);
      }
    }
  }
}

// By cell, then place: two passes of a radix sort over the cells' numbers; then visits_, by keys:
// the lists of cells that lie near each other share seeds, whose rows are still in the cache.
void CellFiling::Sort() {
  constexpr int kBits = 11;
  constexpr uint32_t kMask = (1u << kBits) - 1;
  constexpr size_t kFew = 256;
  if (filed_.size() < kFew) std::sort(filed_.begin(), filed_.end());
  sorting_.resize(filed_.size());
  const uint64_t highest = uint64_t{index_.cell_slots() - 1} << 32;
  for (int shift = 32; shift < 64 && filed_.size() >= kFew && highest >> shift != 0;
       shift += kBits) {
    uint32_t begin[kMask + 2] = {};
    for (const uint64_t entry : filed_) ++begin[((entry >> shift) & kMask) + 1];
    for (uint32_t d = 0; d < kMask; ++d) begin[d + 1] += begin[d];
    for (const uint64_t entry : filed_) sorting_[begin[(entry >> shift) & kMask]++] = entry;
    filed_.swap(sorting_);
  }
  for (uint32_t i = 0; i < filed_.size(); ++i) {
    const uint32_t cell = static_cast<uint32_t>(filed_[i] >> 32);
    if (visits_.empty() || visits_.back().cell != cell || visits_.back().count() == kVisit) {
      visits_.push_back({index_.key(cell), cell, i, i});
    }
    visits_.back().last = i + 1;
  }
  std::sort(visits_.begin(), visits_.end(), [](const Visit& a, const Visit& b) {
    return a.key != b.key ? a.key < b.key : a.first < b.first;
  });
}

}  // namespace seedlm::cpu
