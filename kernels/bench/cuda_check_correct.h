// The stages of cuda_check that compare codes. Each emits one record a comparison to "checks":
// what, blocks, differences.
#pragma once

#include "absl/status/status.h"
#include "kernels/bench/cuda_check_stage.h"

namespace seedlm::bench {

// A rung against the readable reference on few blocks: every fit and scale, few and many blocks
// (both variants of the tensor kernel), plans that no device would choose, and one whose queue is
// so short that blocks are hard.
absl::Status CheckRung(Context& context, const codec::Profile& profile, cuda::SearchMethod method);

// Every rung that is right so far against the host's SIMD backend, which scans all seeds, on
// context.blocks blocks or as many as the host encodes in half of the time; and with other grids,
// and against rung 0 on all of them. Not the tensor cores where a pool would not use them
// (cuda::TensorsNext): nearly all blocks would be hard.
absl::Status CheckMany(Context& context, const codec::Profile& profile, codec::Fit fit,
                       codec::ScaleRule rule);

// No seed that cuBLAS's matrix product prefers has a better code than the one that was found, and
// no code is better than its seed's score allows. Skipped, with the reason, without cuBLAS.
absl::Status CheckByGemm(Context& context, const codec::Profile& profile);

// The fits and scales that go together.
struct Combination {
  codec::Fit fit;
  codec::ScaleRule rule;
};
inline constexpr Combination kCombinations[] = {{codec::Fit::kOptimal, codec::ScaleRule::kFitted},
                                                {codec::Fit::kOptimal, codec::ScaleRule::kPow2},
                                                {codec::Fit::kOptimal, codec::ScaleRule::kPaper},
                                                {codec::Fit::kNearest, codec::ScaleRule::kPow2},
                                                {codec::Fit::kNearest, codec::ScaleRule::kPaper}};

}  // namespace seedlm::bench
