// The cell index: which seeds can matter for a block, known before any of them is scored.
//
// A seed s spans a subspace S_s of P dimensions, and the best error that it can reach for a block w
// is |w| sin(angle(w, S_s)). So a seed matters only if angle(w, S_s) <= alpha, sin^2 alpha = error
// budget of the best code known / |w|^2 (codec::ErrorBudget). Cut the sphere of directions into
// cells with centres c: the cell of w is the lattice point nearest to radius * w / |w|, up to sign.
// The angle to a subspace obeys the triangle inequality,
//   angle(c, S_s) <= angle(c, w) + angle(w, S_s),
// because the nearest line of S_s to w is a line of S_s for c, too. So with the seeds of a cell
// sorted by angle(c, S_s), those that matter for w are at the front:
//   angle(c, S_s) <= angle(c, w) + alpha.                                                     (1)
// A list depends on the profile and the cell alone: not on the weights, not on their levels. It
// holds for whatever w a caller files under c; the lattice only makes angle(c, w) small.
//
// What is stored. x = sin^2 angle(c, S_s) = 1 - |Q^T c|^2 / |c|^2 is computed by the scan of all
// seeds, within BoundTable::margin() of the truth. Not sorted but put into bins of x; a bin's edge
// is no larger than any computed x in the bin and those after it. A list ends at x = end().
//
// Margins. Need() returns sin^2(angle(c, w) + alpha) + margin: every seed with (1) has a computed x
// of at most that. Its own float64 arithmetic errs by some 1e-16 in the cosine of angle(c, w), so
// by 2e-8 in a sine near 0; 1e-7 is added. Prefix() is the number of seeds in the bins whose edge
// is not above a need.
//
// Memory. A list costs 2 bytes a seed, of the 65,535. Lists are built when blocks ask for them, by
// whoever asks, and stay for the life of the process; when the store's memory is used up, no more
// are built and the blocks of the other cells are searched exhaustively. Nothing is ever thrown
// out, so nothing thrashes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/codec/profile.h"

namespace seedlm::search {

// Bytes that all lists of a store may take. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t bytes) : left_(bytes) {}
  // False, and nothing taken, if there is not enough left.
  bool Take(int64_t bytes);
  void GiveBack(int64_t bytes) { left_ += bytes; }
  int64_t left() const { return left_; }

 private:
  std::atomic<int64_t> left_;
};

// How finely the sphere is cut, and what that costs: tuning data, measured with Gaussian weights.
struct Resolution {
  double radius;  // of the sphere in the lattice
  double reach;   // angle(c, w) + alpha up to which lists go, radians
  int64_t cells;  // about
  int entries;    // of a list, about
  int scanned;    // seeds that a block needs, about
};

// A seed's distance from a centre, as computed.
struct ListEntry {
  float x;
  uint16_t seed;
};

// The lists of one resolution. Thread-safe; a list is immutable once it is there.
class CellIndex {
 public:
  static constexpr int kBins = 64;
  static constexpr int kGrains = 1024;  // a bin begins at a multiple of end() / kGrains
  static constexpr uint32_t kNoCell = ~uint32_t{0};

  struct List {
    uint16_t begin[kBins + 1];  // of each bin, and the number of seeds
    uint16_t seeds[1];          // as many as there are
  };

  // `margin`: of the computed x, BoundTable::margin(). The budget must outlive the index.
  CellIndex(const codec::Profile& profile, const Resolution& resolution, double margin,
            MemoryBudget& budget);
  ~CellIndex();
  CellIndex(const CellIndex&) = delete;
  CellIndex& operator=(const CellIndex&) = delete;

  const codec::Profile& profile() const { return profile_; }
  const Resolution& resolution() const { return resolution_; }

  // The number of a cell, given out at the first call for its key (CellKey), or kNoCell: the key is
  // 0, or there are far more cells than were expected.
  uint32_t Find(uint64_t key);
  uint32_t cell_slots() const { return static_cast<uint32_t>(slots_.size()); }
  uint64_t key(uint32_t cell) const { return slots_[cell].key.load(std::memory_order_relaxed); }

  // Null: there is none yet.
  const List* list(uint32_t cell) const {
    return slots_[cell].list.load(std::memory_order_acquire);
  }
  int64_t lists() const { return lists_; }

  // Whether another list would fit into memory.
  bool HasRoom() const { return budget_.left() >= room_for_; }
  // Makes a list of all seeds with x <= end(), unless it has appeared meanwhile or there is no
  // memory. `entries` may hold others, too.
  void Publish(uint32_t cell, std::span<const ListEntry> entries);

  // A different number for every caller, spread over all of uint32_t.
  uint32_t NextStart() { return starts_.fetch_add(0x9E3779B9u); }

  // Makes a list that an index of the same profile, resolution and version had; `begin` as in List.
  // Does nothing for kNoCell, where there is a list already, or where memory is used up.
  void Restore(uint32_t cell, const uint16_t* begin, std::span<const uint16_t> seeds);

  // Upper end of x in the lists.
  double end() const { return end_; }
  // For cos angle(c, w) = `cosine` >= 0 and `share` = sin^2 alpha. Above end(): the list is too
  // short for this block.
  double Need(double cosine, double share) const;
  // The number of seeds at the front that `need` asks for.
  int Prefix(const List& list, double need) const {
    if (!(need > 0)) return list.begin[1];
    return need >= end_ ? list.begin[kBins]
                        : list.begin[until_[static_cast<size_t>(need * grain_)]];
  }

 private:
  struct Slot {
    std::atomic<uint64_t> key{0};
    std::atomic<const List*> list{nullptr};
  };

  // A list with memory for `seeds` taken from the budget, or null.
  List* Allocate(size_t seeds);
  void Install(uint32_t cell, List* made);

  static int64_t ListBytes(size_t entries) {
    return static_cast<int64_t>(sizeof(List) + entries * sizeof(uint16_t));
  }

  const codec::Profile profile_;
  const Resolution resolution_;
  const double margin_;
  double end_;
  double grain_;                // kGrains / end
  std::vector<uint8_t> bin_;    // of a grain
  std::vector<uint8_t> until_;  // the bin after the last that a need in this grain asks for
  MemoryBudget& budget_;
  const int64_t room_for_;  // bytes of a list that is not too long
  std::vector<Slot> slots_;
  std::atomic<int64_t> lists_{0};
  std::atomic<uint32_t> starts_{0};
};

}  // namespace seedlm::search
