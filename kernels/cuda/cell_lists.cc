#include "kernels/cuda/cell_lists.h"

#include <algorithm>

#include "kernels/cuda/carver.h"
#include "kernels/search/bound_table.h"
#include "kernels/search/index_store.h"

namespace seedlm::cuda {
namespace {

using search::CellIndex;

static_assert(CellView::kBins == CellIndex::kBins && CellView::kGrains == CellIndex::kGrains);

CellView Carve(const CellShape& shape, Carver& carver) {
  CellView view;
  view.shape = shape;
  if (shape.slots == 0) return view;
  view.keys = carver.Take<unsigned long long>(shape.slots);
  view.list_of = carver.Take<uint32_t>(shape.slots);
  view.lists_made = carver.Take<uint32_t>(1);
  view.begins = carver.Take<uint16_t>(int64_t{shape.lists} * (CellView::kBins + 1));
  view.complete = carver.Take<uint32_t>(shape.lists);
  view.seeds = carver.Take<uint16_t>(int64_t{shape.lists} * shape.capacity);
  view.bin_of = carver.Take<uint8_t>(CellView::kGrains);
  view.until = carver.Take<uint8_t>(CellView::kGrains);
  return view;
}

// What a device's lists are: those of the index, or longer ones in as many bins as there can be.
search::Resolution DeviceResolution(const codec::Profile& profile) {
  search::Resolution resolution = search::Resolutions(profile)[0];
  if (CellReachOf(profile) > resolution.reach) {
    resolution.reach = CellReachOf(profile);
    resolution.entries = 0;  // lists are never coded as gaps there, which would take bins
  }
  return resolution;
}

template <typename T>
cudaError_t Upload(T* to, const std::vector<T>& from, cudaStream_t stream) {
  if (from.empty()) return cudaSuccess;
  return cudaMemcpyAsync(to, from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice, stream);
}

}  // namespace

size_t CellBytes(const CellShape& shape) {
  Carver counter(nullptr);
  Carve(shape, counter);
  return counter.used();
}

CellImage::CellImage(const codec::Profile& profile, const CellShape& shape,
                     const search::CellIndex* index)
    : shape_(search::Resolutions(profile).empty() ? CellShape{0, 0, 0} : shape) {
  if (shape_.slots == 0) return;
  keys_.resize(static_cast<size_t>(shape.slots));
  list_of_.resize(static_cast<size_t>(shape.slots));
  search::MemoryBudget nothing(0);
  const CellIndex empty(profile, DeviceResolution(profile),
                        double{search::BoundTable::For(profile).margin()}, nothing);
  grain_ = static_cast<float>(empty.grain());
  bin_of_.assign(empty.bin_of().begin(), empty.bin_of().end());
  until_.assign(empty.until().begin(), empty.until().end());
  if (index == nullptr || index->resolution().reach < empty.resolution().reach) return;
  for (uint32_t cell = 0; cell < index->cell_slots(); ++cell) {
    const CellIndex::List* list = index->list(cell);
    if (list != nullptr && lists() < shape.lists) Add(*index, cell, *list);
  }
  lists_made_ = static_cast<uint32_t>(lists());
}

void CellImage::Add(const CellIndex& index, uint32_t cell, const CellIndex::List& list) {
  const uint64_t key = index.key(cell);
  const CellView places = ViewAt(nullptr);
  uint32_t slot = places.FirstSlot(key);
  int probes = 1;
  for (; keys_[slot] != 0 && probes < CellView::kMaxProbes; ++probes) slot = places.NextSlot(slot);
  if (keys_[slot] != 0) return;
  keys_[slot] = key;
  list_of_[slot] = static_cast<uint32_t>(lists()) + 1;

  uint32_t bins = CellView::kBins;
  while (list.begin[bins] > shape_.capacity) --bins;
  const int count = list.begin[bins];
  complete_.push_back(bins);
  begins_.insert(begins_.end(), list.begin, list.begin + CellView::kBins + 1);
  std::vector<uint16_t> buffer(static_cast<size_t>(count));
  const uint16_t* seeds = index.Seeds(list, count, buffer.data());
  seeds_.insert(seeds_.end(), seeds, seeds + count);
  seeds_.resize(complete_.size() * static_cast<size_t>(shape_.capacity));
}

CellView CellImage::ViewAt(void* memory) const {
  Carver carver(memory);
  CellView view = Carve(shape_, carver);
  view.grain = grain_;
  return view;
}

cudaError_t CellImage::Queue(const CellView& view, cudaStream_t stream) const {
  if (!view.exists()) return cudaSuccess;
  cudaError_t error = Upload(view.keys, keys_, stream);
  if (error == cudaSuccess) error = Upload(view.list_of, list_of_, stream);
  if (error == cudaSuccess) error = Upload(view.begins, begins_, stream);
  if (error == cudaSuccess) error = Upload(view.complete, complete_, stream);
  if (error == cudaSuccess) error = Upload(view.seeds, seeds_, stream);
  if (error == cudaSuccess) error = Upload(view.bin_of, bin_of_, stream);
  if (error == cudaSuccess) error = Upload(view.until, until_, stream);
  if (error == cudaSuccess) {
    error = cudaMemcpyAsync(view.lists_made, &lists_made_, sizeof lists_made_,
                            cudaMemcpyHostToDevice, stream);
  }
  return error;
}

}  // namespace seedlm::cuda
