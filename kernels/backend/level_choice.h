// Chooses the levels of a tensor: the model's proposal, checked by encoding a sample.
#pragma once

#include <array>
#include <stop_token>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/codec/level_design.h"

namespace seedlm::backend {

// The levels of the tensor that `histogram` measured (AddBlockNorms over all its rows). For kFitted
// the designed table has to win against the best powers of two on a sample of blocks, by more than
// twice the standard error of the comparison; otherwise the powers of two are the tensor's levels.
// The sample is drawn from the blocks that the histogram kept, each bin of norms in proportion to
// its energy, encoded twice: 0.5 % of the blocks, at least 64, at most NormHistogram::kKept a bin
// (some thousand in all, so its share shrinks as tensors grow); bins with less than 0.1 % of the
// energy are left out. For tensors of fewer than some 12,000 blocks it is more than 1 % of the
// encoding.
// `blocks_to_come`: the hint of EncodeSpec, for the encoding of the sample. `warning`, if not null,
// becomes the last of EncodedShard's that was not empty.
// A pure function of (profile, fit, rule, tensor): every backend encodes the sample to the same
// bytes. Errors: those of Backend::Encode.
absl::StatusOr<codec::LevelTable> ChooseLevels(const Backend& backend,
                                               const codec::Profile& profile, codec::Fit fit,
                                               codec::ScaleRule rule,
                                               const codec::NormHistogram& histogram,
                                               std::stop_token stop, int64_t blocks_to_come = 0,
                                               std::string* warning = nullptr);

// Whether ChooseLevels can have given `scale`: one of its two tables, without encoding the sample
// that decides between them. A function of the counts of `histogram` alone.
bool CanBeChosen(const codec::Profile& profile, codec::ScaleRule rule,
                 const codec::NormHistogram& histogram,
                 const std::array<float, codec::kLevels>& scale);

}  // namespace seedlm::backend
