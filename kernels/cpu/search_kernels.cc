#include "kernels/cpu/search_kernels.h"

#include <mutex>

// The AVX-512 of Ice Lake and Zen 4 on: it multiplies and adds pairs in one instruction (VNNI).
#define HWY_WANT_AVX3_DL
// Vectors of unknown length cannot stand in arrays, which the tiles below need. (Highway's SSE4 is
// one with AES: SSSE3 is what processors before that, and many virtual ones, have.)
#ifdef SEEDLM_SANITIZED  // each target takes clang half a minute
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV | HWY_SSSE3)
#else
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/search_kernels.cc"
#include "hwy/foreach_target.h"
//
#include "hwy/highway.h"
#include "kernels/cpu/byte_scan_inl.h"
#include "kernels/cpu/cell_keys_inl.h"
#include "kernels/cpu/cell_scan_inl.h"
#include "kernels/cpu/finish_inl.h"
#include "kernels/cpu/gaps_inl.h"
#include "kernels/cpu/prepare_inl.h"
#include "kernels/cpu/scan_inl.h"

HWY_BEFORE_NAMESPACE();
namespace seedlm::cpu {
namespace HWY_NAMESPACE {

SearchKernels MakeKernels() {
  SearchKernels kernels = {};
  kernels.chunk_maxima = &AnyChunkMaxima;
  kernels.chunk_scores = &AnyChunkScores;
  kernels.fetch_rows = &AnyFetchRows;
  kernels.score_rows = &AnyScoreRows;
#ifdef SEEDLM_HAVE_BYTE_ROWS
  kernels.fetch_byte_rows = &FetchByteRows;
  kernels.score_byte_rows = &AnyScoreByteRows;
#endif
  kernels.largest = &Largest;
  kernels.select = &SelectPlaces;
  kernels.keep = &KeepNear;
  kernels.cell_keys = &AnyCellKeys;
  kernels.decode_gaps = &DecodeGaps;
  kernels.prepare = &Prepare;
  kernels.prepare_for_cell = &PrepareForCell;
  kernels.finish = &AnyFinish;
  kernels.is_best_of_seed = &AnyIsBestOfSeed;
  return kernels;
}

}  // namespace HWY_NAMESPACE
}  // namespace seedlm::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace seedlm::cpu {

HWY_EXPORT(MakeKernels);

std::vector<std::string> SupportedTargets() {
  std::vector<std::string> names;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    names.emplace_back(hwy::TargetName(target));
  }
  return names;
}

SearchKernels KernelsFor(const std::string& target) {
  // Highway keeps its choice in a global: lend it to the named target for one call.
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  for (const int64_t candidate : hwy::SupportedAndGeneratedTargets()) {
    if (target != hwy::TargetName(candidate)) continue;
    hwy::GetChosenTarget().Update(candidate);
    const SearchKernels kernels = HWY_DYNAMIC_DISPATCH(MakeKernels)();
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return kernels;
  }
  return {};
}

}  // namespace seedlm::cpu
#endif  // HWY_ONCE
