// The two backends that every machine has. kernels/registry is their only caller but benchmarks and
// tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/search/index_store.h"

namespace seedlm::cpu {

// Scalar float64, readable: the oracle as a backend. Some 500 blocks/s a core.
std::shared_ptr<const backend::Backend> MakeReferenceBackend();

// The instruction sets that this processor can run, best first: "AVX3", "AVX2", .., "EMU128".
std::vector<std::string> SimdTargets();

// Searches with SIMD kernels for `target`; "" takes the best. With `index`, through its cells where
// that is cheaper than scanning all seeds; without, it always scans all.
// Errors: INVALID_ARGUMENT for a target that is not in SimdTargets().
absl::StatusOr<std::shared_ptr<const backend::Backend>> MakeSimdBackend(
    const std::string& target = "", std::shared_ptr<search::IndexStore> index = nullptr);

// Bytes that one call of EncodeAll of either backend takes at most for `blocks` blocks, beside the
// weights and codes that it is about.
int64_t EncodeBytes(const codec::Profile& profile, int64_t blocks);

}  // namespace seedlm::cpu
