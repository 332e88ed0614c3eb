// The readable encoder: the oracle that every other searcher must agree with, bit for bit.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/codec/block_code.h"
#include "kernels/codec/levels.h"
#include "kernels/codec/objective.h"
#include "kernels/codec/profile.h"
#include "kernels/codec/seed_search.h"

namespace seedlm::codec {

struct EncodedBlock {
  BlockCode code;
  double error = 0;  // the objective
};

// The orthonormal bases of all seeds, so that encoding many blocks does not factor them again.
// 4bit: 12 MB. Immutable, thread-safe.
class ReferenceEncoder {
 public:
  explicit ReferenceEncoder(const Profile& profile) : profile_(profile) {
    q_.reserve(size_t{profile.seed_count()} * EntrySize());
    for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
      const Factor factor = FactorBasis(profile, MakeBasis(profile, seed));
      for (int p = 0; p < profile.rank; ++p) {
        for (int c = 0; c < profile.block; ++c) q_.push_back(factor.q[c][p]);
      }
    }
  }

  // The code of one block: `weights` holds C finite floats. 2 to 4 ms.
  // REQUIRES: not kNearest with a fitted table.
  EncodedBlock Encode(Fit fit, const LevelTable& levels, const float* weights) const {
    const Candidate best = Search(fit, levels, weights);
    return {FromSeedAndRemainder(profile_, best.seed, best.remainder), best.error};
  }

  Candidate Search(Fit fit, const LevelTable& levels, const float* weights) const {
    const BlockTask task = MakeTask(profile_, weights);
    Candidate best = InitialCandidate(fit, task);
    if (fit == Fit::kOptimal && IsOutOfReach(profile_, task, levels)) return best;
    double budget = ErrorBudget(task.squared_norm, best.error);
    for (uint32_t seed = 1; seed <= profile_.seed_count(); ++seed) {
      if (task.squared_norm - SquaredProjection(seed, weights) > budget) continue;
      EvaluateSeed(profile_, fit, task, levels, seed, best);
      budget = ErrorBudget(task.squared_norm, best.error);
    }
    return best;
  }

 private:
  size_t EntrySize() const { return static_cast<size_t>(profile_.block * profile_.rank); }

  // |Q^T w|^2, what the seed's subspace holds of the block.
  double SquaredProjection(uint32_t seed, const float* weights) const {
    const double* q = &q_[(seed - 1) * EntrySize()];
    double squared = 0;
    for (int p = 0; p < profile_.rank; ++p) {
      double dot = 0;
      for (int c = 0; c < profile_.block; ++c) dot += *q++ * weights[c];
      squared += dot * dot;
    }
    return squared;
  }

  Profile profile_;
  std::vector<double> q_;  // [seed - 1][p][c]
};

}  // namespace seedlm::codec
