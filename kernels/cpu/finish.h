// Finishing: the best code among the few seeds that a scan could not rule out.
#pragma once

#include <cstdint>

#include "kernels/codec/levels.h"
#include "kernels/codec/seed_search.h"
#include "kernels/search/seed_table.h"

namespace seedlm::cpu {

// A block scaled to unit norm, for float32. Notation of codec/seed_search.h, all lengths in units
// of |w|: F = |u - D/|w||^2 = gap + |z - sigma R q|^2 with u = w / |w|, sigma = level / |w|. Made
// by SearchKernels::prepare, which says what it points to.
struct FinishTask {
  codec::BlockTask block;
  const codec::Profile* profile;
  const codec::LevelTable* levels;
  const search::SeedTable* seeds;
  double inverse_squared_norm;   // 1 / |w|^2
  float unit[codec::kMaxBlock];  // u
  // Levels so high that every non-zero code of a sound seed has |D| > 2.1 |w|, and so loses to the
  // zero code, are lowered to where that is just so: it bounds the rounding errors.
  float sigma[codec::kLevels];
  float inverse_sigma[codec::kLevels];
  // No level is below 2^-60 |w|: float32 arithmetic neither over- nor underflows.
  bool in_range;
};

}  // namespace seedlm::cpu
