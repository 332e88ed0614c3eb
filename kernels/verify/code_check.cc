#include "kernels/verify/code_check.h"

#include "kernels/codec/objective.h"
#include "kernels/codec/seed_search.h"

namespace seedlm::verify {

bool IsBestOfItsSeed(const codec::Profile& profile, codec::Fit fit, const codec::LevelTable& levels,
                     const codec::BlockCode& code, const float* weights) {
  const codec::BlockTask task = codec::MakeTask(profile, weights);
  const uint32_t remainder = codec::Remainder(profile, code);
  codec::Candidate best = codec::InitialCandidate(fit, task);
  const bool is_zero_code = code.seed == best.seed && remainder == best.remainder;  // kOptimal
  if (fit == codec::Fit::kOptimal && task.squared_norm == 0) return is_zero_code;
  const codec::Basis basis = codec::MakeBasis(profile, code.seed);
  if (fit == codec::Fit::kOptimal) {
    // Beginning with the code itself, the search looks only at codes that are as near as it is.
    const codec::Candidate stored{
        codec::BlockError(profile, weights, basis, code.q, levels.scale[code.level]), code.seed,
        remainder};
    if (!is_zero_code && !codec::Better(stored, best)) return false;
    best = stored;
  }
  codec::EvaluateSeed(profile, fit, task, levels, code.seed, basis,
                      codec::FactorBasis(profile, basis), best);
  return best.seed == code.seed && best.remainder == remainder;
}

}  // namespace seedlm::verify
