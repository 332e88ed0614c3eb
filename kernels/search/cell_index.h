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
// is no larger than any computed x in the bin and those after it. A list ends at x = end(). Short
// lists are 16 bits a seed. Where lists are long (an eighth of all seeds and more) there are few
// bins, the seeds of a bin ascend, and a byte a seed holds its distance from the one before it
// (Coding::kGaps): 1.1 bytes a seed at 3bit, where a gibibyte would not hold the lists otherwise.
//
// Margins. Need() returns sin^2(angle(c, w) + alpha) + margin: every seed with (1) has a computed x
// of at most that. Its own float64 arithmetic errs by some 1e-16 in the cosine of angle(c, w), so
// by 2e-8 in a sine near 0; 1e-7 is added. Prefix() is the number of seeds in the bins whose edge
// is not above a need.
//
// Memory. Lists lie in slabs on huge pages. They are built when blocks ask for them, by
// whoever asks, and stay for the life of the process; when the store's memory is used up, no more
// are built and the blocks of the other cells are searched exhaustively. Nothing is ever thrown
// out, so nothing thrashes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "kernels/codec/profile.h"
#include "kernels/search/cache_aligned.h"

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

  // Whether lists are long enough for a byte a seed.
  bool dense() const { return entries >= 8192; }
  // What a list costs to build, in exhaustive scans of a block: the scores of all seeds and a look
  // through them, and each seed's way into the list. 2 at 4bit, 4 at 3bit.
  double list_scans() const { return 1.8 + entries * 0.0002; }
  // Of a list, about.
  int64_t list_bytes() const { return 160 + (dense() ? entries * 9 / 8 : entries * 2); }
};

// The lists of one resolution. Thread-safe; a list is immutable once it is there.
class CellIndex {
  using AlignedBytes = std::vector<std::byte, CacheAligned<std::byte>>;

 public:
  static constexpr int kBins = 64;      // at most; kGaps uses fewer
  static constexpr int kGrains = 1024;  // a bin begins at a multiple of end() / kGrains
  static constexpr uint32_t kNoCell = ~uint32_t{0};

  enum class Coding : uint32_t {
    kPlain = 0,  // u16 each
    // A bin's seeds ascend. A byte 1 .. 255: a seed that is so much more than the one before it, or
    // than 0; a byte 0: no seed, but the next one is 255 more.
    kGaps = 1,
  };

  struct List {
    uint32_t bytes;             // of code
    uint16_t begin[kBins + 1];  // of each bin, and the number of seeds (also behind the last bin)
    uint8_t code[1];            // as many as there are

    int size() const { return begin[kBins]; }
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
  // Asks for what Find will look at.
  void PrefetchFind(uint64_t key) const;
  uint32_t cell_slots() const { return static_cast<uint32_t>(slots_.size()); }
  uint64_t key(uint32_t cell) const { return slots_[cell].key.load(std::memory_order_relaxed); }

  // Asks for what list() will look at.
  void PrefetchList(uint32_t cell) const { __builtin_prefetch(&slots_[cell]); }
  // Null: there is none yet.
  const List* list(uint32_t cell) const {
    return slots_[cell].list.load(std::memory_order_acquire);
  }
  int64_t lists() const { return lists_; }

  // Whether another list would fit into memory, and about how many.
  bool HasRoom() const { return budget_.left() >= room_for_; }
  int64_t room() const { return budget_.left() / resolution_.list_bytes(); }
  // Makes a list of all seeds with x <= end(), unless it has appeared meanwhile or there is no
  // memory. x[i] is of seeds[i]; others may be among them, too, and zeros, which are no seeds.
  void Publish(uint32_t cell, std::span<const float> x, std::span<const uint32_t> seeds);

  // A different number for every caller, spread over all of uint32_t.
  uint32_t NextStart() { return starts_.fetch_add(0x9E3779B9u); }

  // Makes a list that an index of the same profile, resolution and version had; `begin` and `code`
  // as in List. Does nothing for kNoCell, where there is a list already, or where memory is used
  // up. REQUIRES: IsSound(begin, code).
  void Restore(uint32_t cell, const uint16_t* begin, std::span<const uint8_t> code);
  // Whether they are a list of this index's coding, without the seed 0.
  bool IsSound(const uint16_t* begin, std::span<const uint8_t> code) const;

  Coding coding() const { return coding_; }
  // The first `count` seeds of a list, in it or in `buffer`, which has room for them. REQUIRES:
  // count <= list.size().
  const uint16_t* Seeds(const List& list, int count, uint16_t* buffer) const {
    if (coding_ == Coding::kPlain) return reinterpret_cast<const uint16_t*>(list.code);
    DecodeGaps(list.begin, list.code, count, buffer);
    return buffer;
  }

  // Upper end of x in the lists.
  double end() const { return end_; }
  // What Publish and Prefix go by, for those who keep lists elsewhere: grains for one of x, the bin
  // of each grain, and the bins that a need in it asks for.
  double grain() const { return grain_; }
  const std::vector<uint8_t>& bin_of() const { return bin_; }
  const std::vector<uint8_t>& until() const { return until_; }
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

  struct Workshop;

  void PublishPlain(uint32_t cell, std::span<const float> x, std::span<const uint32_t> seeds,
                    Workshop& workshop);
  void PublishGaps(uint32_t cell, std::span<const float> x, std::span<const uint32_t> seeds,
                   Workshop& workshop);
  static int BinOf(float x, uint32_t seed, float grain, const uint8_t* bins);
  void Install(uint32_t cell, const uint16_t* begin, std::span<const uint8_t> code);
  // Memory for a list with so many bytes of code, taken from the budget, or null.
  List* Allocate(size_t bytes);

  static void DecodeGaps(const uint16_t* begin, const uint8_t* code, int count, uint16_t* seeds);

  const codec::Profile profile_;
  const Resolution resolution_;
  const double margin_;
  const Coding coding_;
  const int bins_;
  double end_;
  double grain_;                // kGrains / end
  std::vector<uint8_t> bin_;    // of a grain
  std::vector<uint8_t> until_;  // the bin after the last that a need in this grain asks for
  MemoryBudget& budget_;
  const int64_t room_for_;  // bytes of a list that is not too long
  std::vector<Slot> slots_;
  std::mutex mutex_;                 // guards slabs_, slab_left_, taken_
  std::vector<AlignedBytes> slabs_;  // lists, one behind the other
  size_t slab_left_ = 0;             // bytes of the last slab
  int64_t taken_ = 0;                // from the budget
  std::atomic<int64_t> lists_{0};
  std::atomic<uint32_t> starts_{0};
};

}  // namespace seedlm::search
