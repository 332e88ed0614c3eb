// Whether a code is what an encoder can have made of a block.
#pragma once

#include "kernels/codec/block_code.h"
#include "kernels/codec/levels.h"
#include "kernels/codec/profile.h"

namespace seedlm::verify {

// Whether `code` is the best of all codes of its own seed for `weights`, and better than the zero
// code, or is that: true of every code that an encoder makes, and of next to none that is damaged.
// For kNearest: whether it is the one code that the rule gives for its seed. What it does not see
// is a seed that became another one whose best code has the same coefficients and level.
// `weights`: C finite floats, zeros past the end of the row. About one microsecond with FMA. Pure,
// thread-safe. REQUIRES: code.seed != 0; not kNearest with a fitted table.
bool IsBestOfItsSeed(const codec::Profile& profile, codec::Fit fit, const codec::LevelTable& levels,
                     const codec::BlockCode& code, const float* weights);

}  // namespace seedlm::verify
