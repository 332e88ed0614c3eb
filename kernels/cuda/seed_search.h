// The search of all seeds on a device: the door. Storeys, each including only those below:
//   seed_search.h         what is searched and with what memory
//   seed_search_plan.h    launch shapes, printable
//   seed_search_kernel.h  the kernels
//   seed_search_tile.h    scores of a thread's blocks
//   seed_search_warp.h    what the lanes of a warp do together
// seed_search.cu instantiates the kernels and queues them.
//
// Determinism: the result is the least candidate by codec::Better over all seeds, whatever the
// plan: kernels choose which seeds are asked, codec::EvaluateSeed answers, and answers are reduced
// by integer minima. Scores have a proven margin (search_tables.h).
//
// The ladder, with what each rung costs and could reach: README.md. Rungs 2 and 3 have kernels of
// their own (tensor_search_kernel.h, cell_search_kernel.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/codec/levels.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/search_tables.h"
#include "kernels/cuda/seed_search_plan.h"

namespace seedlm::cuda {

// Rungs 0 to 3 of the ladder.
enum class SearchMethod : uint8_t { kNaive, kSliding, kTensor, kCells };

// Blocks to be searched. Pointers are the device's.
struct SearchTask {
  codec::Fit fit;
  codec::LevelTable levels;
  int64_t count;        // at most kMaxSearchBlocks
  const float* blocks;  // [count][C], finite
};
inline constexpr int64_t kMaxSearchBlocks = int64_t{1} << 23;  // * kFinish.survivors: 2^31

// A code as one word, ordered as codec::Better orders codes of equal error.
using CodeWord = unsigned long long;  // CUDA's 64-bit atomics are of this type
SEEDLM_HD inline CodeWord MakeCodeWord(uint32_t seed, uint32_t remainder) {
  return CodeWord{seed} << 32 | remainder;
}
SEEDLM_HD inline uint32_t SeedOf(CodeWord code) { return static_cast<uint32_t>(code >> 32); }
SEEDLM_HD inline uint32_t RemainderOf(CodeWord code) { return static_cast<uint32_t>(code); }

// Whether a search without cells goes by tensor cores. At 4.5bit they leave 20 to 150 survivors a
// block, more than the queue has room for, so that nearly all blocks are hard.
bool TensorsNext(const codec::Profile& profile);

// Bytes of scratch that a search of up to `count` blocks needs, with any method and plan.
size_t SearchScratchBytes(const codec::Profile& profile, int64_t count);

// Queues the search on `stream`; does not synchronise. codes[i] becomes the code of block i, the
// bytes of the reference. `scratch`: SearchScratchBytes, 256-byte aligned, in use until the search
// has ended. Errors: those of launches. REQUIRES: not kNearest with a fitted table.
cudaError_t QueueSearch(SearchMethod method, const codec::Profile& profile, const TableView& tables,
                        const SearchTask& task, const SearchPlan& plan, void* scratch,
                        CodeWord* codes, cudaStream_t stream);

}  // namespace seedlm::cuda
