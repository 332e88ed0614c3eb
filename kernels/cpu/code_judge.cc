#include "kernels/cpu/code_judge.h"

#include <algorithm>
#include <cmath>

#include "kernels/codec/seed_search.h"
#include "kernels/cpu/exhaustive_search.h"
#include "kernels/search/seed_table.h"

namespace seedlm::cpu {
namespace {

// Records of seeds that are asked for ahead of their use.
constexpr size_t kAhead = 8;

}  // namespace

std::vector<size_t> FindForeign(const SearchKernels& kernels, const backend::CodedBlocks& blocks) {
  const backend::EncodeSpec& spec = *blocks.spec;
  if (spec.fit != codec::Fit::kOptimal) return backend::FindForeignCodes(blocks);
  const search::SeedTable& seeds = search::SeedTable::For(spec.profile);
  const double most = std::pow(LargestScannedNorm(spec), 2);
  std::vector<size_t> foreign;
  FinishTask task;
  for (size_t i = 0; i < blocks.codes.size(); ++i) {
    seeds.PrefetchRecord(blocks.codes[std::min(i + kAhead, blocks.codes.size() - 1)].seed);
    const float* weights = blocks.weights + i * static_cast<size_t>(spec.profile.block);
    const double squared_norm = codec::MakeTask(spec.profile, weights).squared_norm;
    bool is_best = false;
    if (squared_norm > 0 && squared_norm <= most) {
      kernels.prepare(spec.profile, spec.levels, seeds, weights, task);
      is_best = kernels.is_best_of_seed(task, blocks.codes[i]);
    } else {
      is_best = backend::IsBestOfItsSeed(blocks, i);
    }
    if (!is_best) foreign.push_back(i);
  }
  return foreign;
}

}  // namespace seedlm::cpu
