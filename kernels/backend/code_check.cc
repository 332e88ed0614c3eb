#include "kernels/backend/code_check.h"

#include "kernels/codec/objective.h"
#include "kernels/codec/seed_search.h"

namespace seedlm::backend {
namespace {

inline bool Judge(const EncodeSpec& spec, const codec::BlockCode& code, const float* weights) {
  const auto& [profile, fit, levels, blocks_to_come] = spec;
  const codec::BlockTask task = codec::MakeTask(profile, weights);
  const uint32_t remainder = codec::Remainder(profile, code);
  const codec::Candidate first = codec::InitialCandidate(fit, task);
  const bool is_zero_code = code.seed == first.seed && remainder == first.remainder;  // kOptimal
  if (fit == codec::Fit::kOptimal && task.squared_norm == 0) return is_zero_code;
  if (fit == codec::Fit::kOptimal && !is_zero_code) {
    const codec::Basis basis = codec::MakeBasis(profile, code.seed);
    const codec::Candidate stored{
        codec::BlockError(profile, weights, basis, code.q, levels.scale[code.level]), code.seed,
        remainder};
    return codec::Better(stored, first) &&
           codec::IsBestOfSeed(profile, task, levels, basis, stored);
  }
  codec::Candidate best = first;
  codec::EvaluateSeed(profile, fit, task, levels, code.seed, best);
  return best.seed == code.seed && best.remainder == remainder;
}

// fma() and rint() are calls into the C library, some sixty a code, unless the instructions may be
// used. They give the same bits.
#if defined(__x86_64__)
__attribute__((target("avx2,fma"), flatten)) bool JudgeWithFma(const EncodeSpec& spec,
                                                               const codec::BlockCode& code,
                                                               const float* weights) {
  return Judge(spec, code, weights);
}

bool HasFma() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
constexpr auto JudgeWithFma = Judge;
constexpr bool HasFma() { return true; }
#endif

}  // namespace

bool IsBestOfItsSeed(const CodedBlocks& blocks, size_t i) {
  static const bool has_fma = HasFma();
  const float* weights = blocks.weights + i * static_cast<size_t>(blocks.spec->profile.block);
  return has_fma ? JudgeWithFma(*blocks.spec, blocks.codes[i], weights)
                 : Judge(*blocks.spec, blocks.codes[i], weights);
}

std::vector<size_t> FindForeignCodes(const CodedBlocks& blocks) {
  std::vector<size_t> foreign;
  for (size_t i = 0; i < blocks.codes.size(); ++i) {
    if (!IsBestOfItsSeed(blocks, i)) foreign.push_back(i);
  }
  return foreign;
}

}  // namespace seedlm::backend
