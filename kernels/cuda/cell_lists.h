// Lists of cells, from the process's index to a device, where they reach as far as the device's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/codec/profile.h"
#include "kernels/cuda/cell_search.h"
#include "kernels/cuda/device.h"
#include "kernels/search/cell_index.h"

namespace seedlm::cuda {

// Bytes of the device's that lists of a shape take; 0: there are no cells.
size_t CellBytes(const CellShape& shape);

// What a device's lists are at first: those that an index has, as far as there is room.
class CellImage {
 public:
  // `index`: of search::Resolutions(profile)[0], or null: no lists, but its bins all the same. It
  // may grow meanwhile; lists that are shorter than the device's own (CellReachOf) are left to it.
  // Without cells (2bit) nothing.
  CellImage(const codec::Profile& profile, const CellShape& shape, const search::CellIndex* index);

  int64_t lists() const { return static_cast<int64_t>(complete_.size()); }

  // The view of `memory`, CellBytes(shape) of the device's.
  CellView ViewAt(void* memory) const;
  // Queues its upload to a view of its own. Does not synchronise: the image must outlive that.
  cudaError_t Queue(const CellView& view, cudaStream_t stream) const;

 private:
  void Add(const search::CellIndex& index, uint32_t cell, const search::CellIndex::List& list);

  CellShape shape_;
  float grain_ = 0;
  std::vector<unsigned long long> keys_;  // [slots]
  std::vector<uint32_t> list_of_;         // [slots]
  std::vector<uint32_t> complete_;        // [lists()]
  std::vector<uint16_t> begins_;          // [lists()][kBins + 1]
  std::vector<uint16_t> seeds_;           // [lists()][capacity]
  std::vector<uint8_t> bin_of_, until_;   // [kGrains]
  uint32_t lists_made_ = 0;
};

}  // namespace seedlm::cuda
