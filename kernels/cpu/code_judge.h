// Judging codes with the kernels of the search.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/backend/code_check.h"
#include "kernels/cpu/search_kernels.h"

namespace seedlm::cpu {

// backend::FindForeignCodes, several times as fast: a code that is right is what finishing its seed
// leaves of it. The first call for a profile makes its SeedTable.
std::vector<size_t> FindForeign(const SearchKernels& kernels, const backend::CodedBlocks& blocks);

}  // namespace seedlm::cpu
