// The exact cell index on the device (the why: search/cell_index.h): the cells of the CPU's coarse
// index and its lists, in arrays. Those that the process has are uploaded (cell_lists.h); the
// others are made on the device where a batch first meets a cell, which takes microseconds there.
#pragma once

#include <cstdint>

#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/device.h"

namespace seedlm::cuda {

// How much memory lists have. Fewer slots or lists than there are cells: blocks of the others are
// hard ones.
struct CellShape {
  int slots;     // of the hash table of cells: a power of two
  int lists;     // that there is room for
  int capacity;  // seeds of one; a longer one ends with its last bin that fits
};

// E8: 13,320 pairs of points with 1 <= |c| <= 3, all there can be. D12+: as many as 400,000
// Gaussian blocks meet, and some more. {0, 0, 0}: no cells, as the index has none (2bit).
constexpr CellShape CellShapeOf(const codec::Profile& profile) {
  if (profile.block == codec::k3bit.block) return {1 << 18, 100'000, 12'288};
  if (profile.block != codec::k4bit.block) return {0, 0, 0};
  return {1 << 15, 13'320, profile.rank == codec::k4bit.rank ? 12'288 : 20'480};
}

// Angle up to which lists go, radians, where that is further than the index's own
// (search::Resolution::reach): a block beyond costs a processor as much as ten others, and its
// memory is there. 0: as far as the index.
constexpr double CellReachOf(const codec::Profile& profile) {
  if (profile.block != codec::k4bit.block) return 0;
  return profile.rank == codec::k4bit.rank ? 0.68 : 0.62;
}

// Lists of one profile; pointers are the device's. Shared by all searches of the device.
struct CellView {
  static constexpr int kBins = 64;      // of x = sin^2 angle(centre, seed), as CellIndex::kBins
  static constexpr int kGrains = 1024;  // CellIndex::kGrains
  static constexpr float kRadius = 2;

  unsigned long long* keys = nullptr;  // [slots]; 0: free. Null: this profile has no cells
  uint32_t* list_of = nullptr;         // [slots]: number of the list + 1; kBuilding, or 0: none yet
  uint32_t* lists_made = nullptr;      // how many
  uint16_t* begins = nullptr;          // [lists][kBins + 1]: of each bin in its list
  uint32_t* complete = nullptr;        // [lists]: bins that the list has in full
  uint16_t* seeds = nullptr;           // [lists][capacity]
  uint8_t* bin_of = nullptr;           // [kGrains]: of a grain
  uint8_t* until = nullptr;            // [kGrains]: bins that a need in this grain asks for
  CellShape shape = {0, 0, 0};
  float grain = 0;  // grains for one of x

  static constexpr uint32_t kBuilding = 0xFFFFFFFFu;
  SEEDLM_HD bool exists() const { return keys != nullptr; }

  // Where a key is looked for, and the place after that.
  static constexpr int kMaxProbes = 64;
  SEEDLM_HD uint32_t FirstSlot(unsigned long long key) const {
    return static_cast<uint32_t>((key * 0x9E3779B97F4A7C15ull) >> 40) &
           static_cast<uint32_t>(shape.slots - 1);
  }
  SEEDLM_HD uint32_t NextSlot(uint32_t slot) const {
    return (slot + 1) & static_cast<uint32_t>(shape.slots - 1);
  }
};

}  // namespace seedlm::cuda
