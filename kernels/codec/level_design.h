// Chooses the levels of a tensor from the histogram of its block norms.
//
// Why the histogram is enough. How well a block is coded depends, on average over directions, on
// its norm relative to the levels alone. level_curve.h holds that dependence for a single level,
// e(k): the measured mean relative squared error of blocks k eighths of an octave above the level.
// A table of levels at positions x_i is modelled by
//   e = (1 + sum_i (e(k - x_i)^-8 - 1))^(-1/8),
// which is e(k - x) for one level, 1 where no level reaches, and gains from neighbours as measured:
// quarter-octave steps against octaves give 0.845 (Gaussian, 4bit; measured 0.843).
// The tensor's error is the sum over its histogram; the table that minimises it is looked for in a
// small family: coarse steps, fine steps, coarse steps, each a multiple of 1/8 octave.
//
// Deterministic on every machine: counts are integers, and the floating-point part uses only
// + - * / sqrt in a fixed order.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "kernels/codec/levels.h"
#include "kernels/codec/profile.h"

namespace seedlm::codec {

// Counts blocks by log2 of their norm, in bins of 1/8 octave, and keeps a few blocks of each bin:
// the ones whose index has the smallest hash. Order of Add and Merge is immaterial, so that parts
// of a tensor can be measured by different threads. A tensor
// fills some 100 bins: 0.25 MB; 5 MB if its norms were spread over all the range of float32.
class NormHistogram {
 public:
  static constexpr int kFirstBin = -1280;  // norm 2^-160, below the smallest float32
  static constexpr int kBins = 2400;       // up to norm 2^140, above sqrt(16) * the largest float32
  static constexpr size_t kKept = 32;      // blocks a bin

  struct KeptBlock {
    uint64_t hash;  // of the block's index
    std::array<float, kMaxBlock> weights;
  };

  NormHistogram() { furthest_.fill(~uint64_t{0}); }

  // `weights`: [count, C] floats, finite. `index`: of the first of the blocks in its tensor,
  // row * blocks_per_row + b. Zero blocks are not counted.
  void Add(const Profile& profile, const float* weights, int64_t index, int64_t count = 1);
  void Merge(const NormHistogram& other);

  bool empty() const { return total_ == 0; }
  int64_t total() const { return total_; }
  int64_t count(int bin) const { return counts_[static_cast<size_t>(bin - kFirstBin)]; }
  // By ascending hash; all blocks of the bin if they are no more than kKept.
  const std::vector<KeptBlock>& kept(int bin) const;

  // floor(8 log2(norm)), exactly.
  static int BinOf(double squared_norm);

 private:
  void AddBlock(const Profile& profile, const float* weights, int64_t index, double squared_norm);
  void Keep(int bin, const KeptBlock& block);

  std::array<int64_t, kBins> counts_{};
  std::array<uint64_t, kBins> furthest_;        // hash of a bin's last kept block if they are kKept
  std::map<int, std::vector<KeptBlock>> kept_;  // by bin
  int64_t total_ = 0;
};

// The levels that the model prefers for a tensor with that histogram. kPaper ignores it; an empty
// histogram gives a fixed table. `predicted_error`, if not null, receives the modelled sum of
// squared errors. The model knows nothing of directions: kernels/backend/level_choice checks its
// proposal.
LevelTable DesignLevels(const Profile& profile, ScaleRule rule, const NormHistogram& histogram,
                        double* predicted_error = nullptr);

}  // namespace seedlm::codec

#include "kernels/codec/level_design_inl.h"
