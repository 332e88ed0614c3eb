// The exact cell index on the device (the why: search/cell_index.h). The sphere's cells are the
// same as the CPU's, E8 of radius 2 for blocks of 8 weights, and so are the lists, a function of
// profile and cell alone; but here a list costs microseconds, so they are made where a batch first
// meets a cell, in memory that has room for every cell there can be. Profiles with longer blocks
// have no cells here: there are too many of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/device.h"

namespace seedlm::cuda {

// Lists of one profile; pointers are the device's. Shared by all searches of the device.
struct CellView {
  static constexpr int kBins = 64;        // of x = sin^2 angle(centre, seed), [0, end)
  static constexpr int kSlots = 1 << 15;  // of the hash table of cells
  static constexpr int kLists = 13'320;   // pairs of E8 vectors with 1 <= |c| <= 3
  static constexpr float kRadius = 2;

  unsigned long long* keys = nullptr;  // [kSlots]; 0: free. Null: this profile has no cells
  uint32_t* list_of = nullptr;     // [kSlots]: number of the list + 1; kBuilding, or 0: none yet
  uint32_t* lists_made = nullptr;  // how many
  uint16_t* begins = nullptr;      // [kLists][kBins + 1]: of each bin in its list
  uint32_t* complete = nullptr;    // [kLists]: bins that the list has in full
  uint16_t* seeds = nullptr;       // [kLists][capacity]
  int capacity = 0;
  float grain = 0;  // bins for one of x

  static constexpr uint32_t kBuilding = 0xFFFFFFFFu;
  SEEDLM_HD bool exists() const { return keys != nullptr; }
};

// Bytes of a profile's lists; 0: it has no cells.
size_t CellBytes(const codec::Profile& profile);

// The view of `memory`, CellBytes of the device's, and its clearing, queued on `stream`.
CellView ViewCells(const codec::Profile& profile, void* memory);
cudaError_t QueueClearCells(const CellView& cells, cudaStream_t stream);

}  // namespace seedlm::cuda
